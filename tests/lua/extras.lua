-- extras() makes what only Tarantool can make and lycosa has to keep: a functional index, tables, a view and constraints of SQL.

function extras()
    if box.space.functional then return end
    box.schema.func.create('lower', {
        is_deterministic = true, is_sandboxed = true, body = 'function(t) return {t[2]:lower()} end',
    })
    local functional = box.schema.space.create('functional', {id = 1500})
    functional:format({{'id', 'unsigned'}, {'word', 'string'}})
    functional:create_index('pk')
    functional:create_index('lower', {func = 'lower', parts = {{1, 'string'}}, unique = false})
    for i = 1, 20 do functional:insert{i, 'Word ' .. i} end
    for _, statement in ipairs({
        [[create table "sql" ("id" integer primary key autoincrement, "small" integer check ("small" < 1000),
                              "word" text unique)]],
        [[create table "sql_child" ("id" integer primary key, "small" integer references "sql"("id"))]],
        [[create view "sql_view" as select "id", "word" from "sql"]],
    }) do
        local _, err = box.execute(statement)
        assert(not err, err)
    end
    for i = 1, 9 do box.execute([[insert into "sql" values (null, ?, ?)]], {i, 'w' .. i}) end
end
