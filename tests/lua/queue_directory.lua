-- Makes a directory as tarantool-queue 1.5.0 leaves it: its spaces, a tube of every type and storage mode, and in each
-- tasks in all states that the type has.
--
--     tarantool queue_directory.lua DIRECTORY IN_REPLICASET
--
-- In replicaset mode the notes of who holds what are not temporary, so they are in the directory.

local fiber = require('fiber')

local directory, in_replicaset = arg[1], arg[2] == 'true'
box.cfg{work_dir = directory, log = directory .. '/made.log', feedback_enabled = false}

local CENTURY = 3153600000 * 1000000ULL
local SESSION = '0123456789abcdef'

-- `fields` are name:type, `indexes` are {name, unique, field numbers from 1}.
local function space(name, temporary, fields, indexes)
    local format, types = {}, {}
    for field in fields:gmatch('%S+') do
        local field_name, field_type = field:match('(.+):(.+)')
        table.insert(format, {name = field_name, type = field_type})
        table.insert(types, field_type)
    end
    local made = box.schema.space.create(name, {temporary = temporary, format = format})
    for _, index in ipairs(indexes) do
        local parts = {}
        for i = 3, #index do
            table.insert(parts, index[i])
            table.insert(parts, types[index[i]])
        end
        made:create_index(index[1], {type = 'tree', unique = index[2], parts = parts})
    end
    return made
end

space('_queue', false, 'tube_name:string tube_id:unsigned space_name:string tube_type:string opts:*',
    {{'tube', true, 1}, {'tube_id', true, 2}})
space('_queue_consumers', true,
    'connection_id:unsigned fiber_id:unsigned tube_id:unsigned event_time:unsigned fiber_time:unsigned',
    {{'pk', true, 1, 2}, {'consumer', false, 3, 4}})
local taken = space('_queue_taken_2', not in_replicaset,
    'tube_id:unsigned task_id:unsigned connection_id:unsigned session_uuid:string taken_time:unsigned',
    {{'task', true, 1, 2}, {'uuid', false, 4}})
space('_queue_session_ids', true, 'connection_id:unsigned session_uuid:string',
    {{'conn_id', true, 1}, {'uuid', false, 2}})
local sessions = space('_queue_shared_sessions', not in_replicaset, 'uuid:string exp_time:unsigned active:boolean',
    {{'uuid', true, 1}, {'active', true, 3, 1}})
sessions:insert{SESSION, 0, true}

local TIMES = 'next_event:unsigned ttl:unsigned ttr:unsigned pri:unsigned created:unsigned '
local HEAD = 'task_id:unsigned status:string '
local TYPES = {
    fifo = {HEAD .. 'data:*', {{'task_id', true, 1}, {'status', true, 2, 1}}},
    fifottl = {HEAD .. TIMES .. 'data:*',
        {{'task_id', true, 1}, {'status', true, 2, 6, 1}, {'watch', false, 2, 3}}},
    utube = {HEAD .. 'utube:string data:*',
        {{'task_id', true, 1}, {'status', true, 2, 1}, {'utube', true, 2, 3, 1}}},
    utubettl = {HEAD .. TIMES .. 'utube:string data:*',
        {{'task_id', true, 1}, {'status', true, 2, 6, 1}, {'watch', false, 2, 3}, {'utube', true, 2, 8, 1},
            {'utube_pri', true, 2, 8, 6, 1}}},
}
TYPES.limfifottl = TYPES.fifottl

local BUFFERS = {
    utube = {'task_id:unsigned utube:string', {{'task_id', true, 1}, {'utube', true, 2}}},
    utubettl = {'task_id:unsigned utube:string pri:unsigned',
        {{'task_id', true, 1}, {'utube', true, 2}, {'pri', true, 3, 1}}},
}

-- What each tube holds: state, sub-queue, seconds until its next event or nil for its life.
local TASKS = {
    {'t', 'a'}, {'r', 'a'}, {'!', 'a'}, {'r', 'b'}, {'~', 'b', 1}, {'r', 'c', -1}, {'~', 'c', 3600},
}

local function make_tube(number, name, kind, opts)
    local is_timed, has_lanes = kind:match('ttl$') ~= nil, kind:match('^utube') ~= nil
    opts.if_not_exists = false
    if is_timed then
        opts.ttl, opts.ttr, opts.pri = 3153600000, 3153600000, 0
    end
    local tasks = space(name, false, unpack(TYPES[kind]))
    box.space._queue:insert{name, number, name, kind, opts}
    for i, task in ipairs(TASKS) do
        local state, lane, seconds = unpack(task)
        if is_timed or (state ~= '~' and seconds == nil) then
            local row = {i - 1, state}
            if is_timed then
                local now = fiber.time64()
                local ttl = CENTURY
                if seconds ~= nil and state == 'r' then
                    ttl, now = 1000000ULL, now - 2000000ULL
                end
                local next_event = now + ttl
                if state == '~' then
                    next_event = now + seconds * 1000000ULL
                    ttl = ttl + seconds * 1000000ULL
                end
                for _, time in ipairs({next_event, ttl, CENTURY, 0, now}) do
                    table.insert(row, time)
                end
            end
            if has_lanes then
                table.insert(row, lane)
            end
            table.insert(row, {task = i - 1})
            tasks:insert(row)
            if state == 't' then
                taken:insert{number, i - 1, 1, SESSION, fiber.time64()}
            end
        end
    end
    if opts.storage_mode == 'ready_buffer' then
        local buffer = space(name .. '_ready_buffer', false, unpack(BUFFERS[kind]))
        -- In `a` a task is held.
        buffer:insert(is_timed and {3, 'b', 0} or {3, 'b'})
    end
end

make_tube(0, 'fifo', 'fifo', {})
make_tube(1, 'fifottl', 'fifottl', {})
make_tube(2, 'limfifottl', 'limfifottl', {capacity = 100})
make_tube(3, 'utube', 'utube', {})
make_tube(4, 'utubettl', 'utubettl', {})
make_tube(5, 'utube_rb', 'utube', {storage_mode = 'ready_buffer'})
make_tube(6, 'utubettl_rb', 'utubettl', {storage_mode = 'ready_buffer'})
-- A driver that somebody registered: nothing here serves it.
box.space._queue:insert{'foreign', 7, 'foreign', 'mytube', {if_not_exists = false}}
space('foreign', false, unpack(TYPES.fifo)):insert{0, 'r', 'kept'}
os.exit(0)
