-- Makes with box.schema what make_schema of tests/test_files.py makes with rows.

local people = box.schema.space.create('people', {id = 9000, format = {
    {'id', 'unsigned'}, {'name', 'string'}, {'age', 'unsigned', is_nullable = true},
    {'extra', 'any', is_nullable = true},
}})
people:create_index('pk', {parts = {{1, 'unsigned'}}})
people:create_index('name', {parts = {{2, 'string'}, {1, 'unsigned'}}})
people:create_index('age', {parts = {{3, 'unsigned', is_nullable = true}}, unique = false})
people:create_index('hash', {type = 'hash', parts = {{2, 'string'}}})

local pairs_ = box.schema.space.create('pairs', {id = 9001, format = {{'left', 'string'}, {'right', 'integer'}}})
pairs_:create_index('pk', {parts = {{1, 'string'}, {2, 'integer'}}})
pairs_:create_index('right', {parts = {{2, 'integer'}}, unique = false})

local events = box.schema.space.create('events', {id = 9002})
events:create_index('pk', {type = 'hash', parts = {{1, 'unsigned'}}})
events:create_index('when', {parts = {{2, 'number'}}, unique = false})

local scratch = box.schema.space.create('scratch', {id = 9003, temporary = true, format = {{'id', 'unsigned'}}})
scratch:create_index('pk', {parts = {{1, 'unsigned'}}})

local areas = box.schema.space.create('areas', {id = 9004})
areas:create_index('pk', {parts = {{1, 'unsigned'}}})
areas:create_index('area', {type = 'rtree', parts = {{2, 'array'}}, unique = false})
areas:create_index('cube', {type = 'rtree', parts = {{3, 'array'}}, unique = false, dimension = 3, distance = 'manhattan'})
areas:create_index('flags', {type = 'bitset', parts = {{4, 'unsigned'}}, unique = false})

local docs = box.schema.space.create('docs', {id = 9005})
docs:create_index('pk', {parts = {{1, 'unsigned'}}})
docs:create_index('city', {
    parts = {{field = 2, type = 'string', path = 'addr.city', is_nullable = true}}, unique = false,
})
docs:create_index('tags', {parts = {{field = 3, type = 'unsigned', path = '[*]'}}, unique = false})

box.space._user:insert{40, 1, 'keeper', 'user', {['chap-sha1'] = box.schema.user.password('keep: it')}}
box.space._user:insert{41, 1, 'reader', 'user', {['chap-sha1'] = box.schema.user.password('just looking')}}
for _, user in ipairs({40, 41}) do
    box.space._priv:insert{1, user, 'universe', 0, 24}
    box.space._priv:insert{1, user, 'role', 2, 4}
end
box.space._priv:insert{1, 40, 'role', 31, 4}
box.space._priv:insert{1, 41, 'space', 9000, 1}
