-- Opens a data directory and prints the rows of some spaces, a JSON line an index, each row as hexadecimal MsgPack.
--
--     tarantool dump.lua DIRECTORY SPACE...

local json = require('json')
local msgpackffi = require('msgpackffi')

local directory = arg[1]
box.cfg{work_dir = directory, log = directory .. '/dump.log', read_only = true, feedback_enabled = false}

-- The bytes of a tuple as they are stored: encoding a tuple copies them.
local function hex(tuple)
    return (msgpackffi.encode(tuple):gsub('.', function(c) return ('%02x'):format(c:byte()) end))
end

for i = 2, #arg do
    local space = box.space[arg[i]]
    for id = 0, #space.index do
        local index = space.index[id]
        local rows = setmetatable({}, {__serialize = 'array'})
        for _, tuple in index:pairs() do
            table.insert(rows, hex(tuple))
        end
        print(json.encode({space = arg[i], index = id, type = index.type, rows = rows}))
    end
end
os.exit(0)
