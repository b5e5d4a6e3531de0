-- Makes a directory as tarantool-authman leaves it: its spaces with their indexes, the marks of its migrations, and rows
-- of every kind.
--
--     tarantool authman_directory.lua DIRECTORY
--
-- Secrets are those of lib/server.py: activation_secret a, session_secret s, restore_secret r.

local digest = require('digest')
local json = require('json')

local directory = arg[1]
box.cfg{work_dir = directory, log = directory .. '/made.log', feedback_enabled = false}

-- `indexes` are {name, type, unique, field number from 1 and type, ...}.
local function space(name, indexes)
    local made = box.schema.space.create(name)
    for _, index in ipairs(indexes) do
        local parts = {}
        for i = 4, #index do
            table.insert(parts, index[i])
        end
        made:create_index(index[1], {type = index[2], unique = index[3], parts = parts})
    end
    return made
end

local PRIMARY = {'primary', 'hash', true, 1, 'string'}
local user = space('auth_user', {PRIMARY, {'email_index', 'tree', false, 2, 'string', 3, 'unsigned'}})
local password = space('auth_password_credential', {PRIMARY, {'user', 'tree', true, 2, 'string'}})
local password_token = space('auth_password_token', {PRIMARY})
local social = space('auth_social_credential', {PRIMARY, {'user', 'tree', true, 2, 'string', 3, 'string'},
    {'social', 'hash', true, 4, 'string', 3, 'string'}})
local session = space('auth_sesssion', {PRIMARY, {'user_index', 'tree', false, 3, 'string'}})
local app = space('auth_oauth_app', {PRIMARY, {'user', 'tree', true, 2, 'string', 3, 'string'}})
local consumer = space('auth_oauth_consumer', {PRIMARY, {'app', 'tree', true, 3, 'string'}})
local code = space('auth_oauth_code', {PRIMARY, {'consumer', 'tree', false, 2, 'string', 10, 'string'}})
local token = space('auth_oauth_token', {PRIMARY, {'consumer', 'tree', false, 2, 'string', 8, 'string'},
    {'refresh', 'tree', true, 3, 'string'}})
local scope = space('auth_oauth_scope', {{'primary', 'tree', true, 1, 'string', 2, 'string', 3, 'string'},
    {'user_id', 'tree', false, 2, 'string'}})
local redirect = space('auth_oauth_redirect', {{'primary', 'tree', true, 1, 'string', 2, 'string'},
    {'user_id', 'tree', false, 2, 'string'}})

for _, key in ipairs({
    '20170726_authman_add_registration_and_session_ts',
    '20180125_authman_oauth_add_app_is_trusted',
    '20180125_authman_oauth_add_code_and_token_resource_owner',
}) do
    box.once(key, function() end)
end

local now = math.floor(require('fiber').time())
local ID = '11111111-1111-4111-8111-111111111111'
local SID, CODE = '22222222-2222-4222-8222-222222222222', '33333333-3333-4333-8333-333333333333'

user:insert{ID, 'a@b', 1, true, {first_name = 'F'}, now, now}
user:insert{'new', 'new@b', 1, false, box.NULL, now}
password:insert{'p1', ID, digest.sha256(ID .. 'Passw0rd')}
password_token:insert{ID, digest.md5_hex(ID .. now .. 'r')}
social:insert{'c1', ID, 'facebook', 'fb1', 'tok'}
session:insert{SID, CODE, ID}
app:insert{'app-1', ID, 'app', 'server', true, now, false}
consumer:insert{'key-1', digest.sha256('app-1' .. 'secret'), 'app-1', 'http://x'}
code:insert{'code-1', 'key-1', 'http://x', 'read', 'st', 10, now, 'ch', 'S256', ID}
token:insert{'at-1', 'key-1', 'rt-1', 'http://x', 'read', 10, now, ID}
scope:insert{'key-1', ID, 'read'}
redirect:insert{'key-1', ID, 'http://x'}

local payload = digest.base64_encode(json.encode{sid = SID, type = 'common', exp = now + 604800}):gsub('\n', '')
local signature = digest.base64_encode(digest.sha256_hex(CODE .. payload .. 's')):gsub('\n', '')
print(json.encode{
    id = ID, session = payload .. '.' .. signature,
    token = digest.md5_hex(ID .. now .. 'r'), code = digest.md5_hex('a' .. 'new'),
})
os.exit(0)
