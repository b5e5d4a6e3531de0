-- Drives Tarantool's own connector, net.box, against a server and prints what came back, one JSON line a step.
--
--     tarantool netbox.lua URI STEPS
--
-- STEPS is a JSON array of [path, argument, ...]. A path is a method of the connection (`call`, `ping`, `eval`) or
-- of a space or index in it (`space.NAME:select`, `space.NAME.index.I:select`). {"null": true} as an argument is nil.

local json = require('json')
local netbox = require('net.box')

json.cfg{encode_invalid_as_nil = true}

local function find(connection, path)
    local holder, method = path:match('^(.*):([%w_]+)$')
    if holder == nil then
        return connection, path
    end
    local object = connection
    for name in holder:gmatch('[^.]+') do
        object = object[name]
        if object == nil then
            error(('no %s in %s'):format(name, path))
        end
    end
    return object, method
end

local function run(connection, step)
    local object, method = find(connection, step[1])
    local args = {}
    for i = 2, #step do
        args[i - 1] = step[i]
        if type(step[i]) == 'table' and step[i].null then
            args[i - 1] = nil
        end
    end
    return object[method](object, unpack(args, 1, #step - 1))
end

local connection = netbox.connect(arg[1], {wait_connected = 10})
if connection.state ~= 'active' then
    print(json.encode({connect = tostring(connection.error), state = connection.state}))
    os.exit(1)
end
for _, step in ipairs(json.decode(arg[2])) do
    local ok, result = pcall(run, connection, step)
    if ok then
        print(json.encode({result = result == nil and json.NULL or result}))
    else
        local code = type(result) == 'cdata' and result.code or json.NULL
        print(json.encode({error = tostring(result), code = code}))
    end
end
connection:close()
os.exit(0)
