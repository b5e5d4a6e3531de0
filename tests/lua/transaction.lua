-- transaction(requests, is_kept): the requests in one transaction, which is committed or rolled back. Each is
-- {type, space id, first, second}, the latter two as MsgPack: Lua would not give numbers and strings back as they came.

local ffi = require('ffi')

for _, declaration in ipairs({
    'int box_insert(uint32_t space, const char *tuple, const char *end, void *result);',
    'int box_replace(uint32_t space, const char *tuple, const char *end, void *result);',
    'int box_delete(uint32_t space, uint32_t index, const char *key, const char *end, void *result);',
    [[int box_update(uint32_t space, uint32_t index, const char *key, const char *key_end, const char *ops,
                     const char *ops_end, int index_base, void *result);]],
    [[int box_upsert(uint32_t space, uint32_t index, const char *tuple, const char *tuple_end, const char *ops,
                     const char *ops_end, int index_base, void *result);]],
}) do
    -- One that is declared already is of the same shape.
    pcall(ffi.cdef, declaration)
end

local function range(text)
    local start = ffi.cast('const char *', text)
    return start, start + #text
end

local function two(first, second)
    local a, b = range(first)
    local c, d = range(second)
    return a, b, c, d
end

local result = ffi.new('void *[1]')
local kinds = {
    [2] = function(space, tuple)
        local from, to = range(tuple)
        return ffi.C.box_insert(space, from, to, result)
    end,
    [3] = function(space, tuple)
        local from, to = range(tuple)
        return ffi.C.box_replace(space, from, to, result)
    end,
    [4] = function(space, key, ops)
        local a, b, c, d = two(key, ops)
        return ffi.C.box_update(space, 0, a, b, c, d, 0, result)
    end,
    [5] = function(space, key)
        local from, to = range(key)
        return ffi.C.box_delete(space, 0, from, to, result)
    end,
    [9] = function(space, tuple, ops)
        local a, b, c, d = two(tuple, ops)
        return ffi.C.box_upsert(space, 0, a, b, c, d, 0, result)
    end,
}

-- A functional index calls Lua, which a compiled trace may not do.
for _, f in pairs(kinds) do jit.off(f) end

-- Returns the code of each request, 0 if it was done.
function transaction(requests, is_kept)
    local codes = {}
    box.begin()
    for i, r in ipairs(requests) do
        codes[i] = kinds[r[1]](r[2], r[3], r[4]) == 0 and 0 or box.error.last().code
    end
    if is_kept then
        box.commit()
    else
        box.rollback()
    end
    return codes
end
jit.off(transaction)
