-- Wireshark dissector for onecast: every field of docs/PROTOCOL.md, whose sections it names.
--
--   tshark -X lua_script:docs/onecast.lua -r capture.pcap
--   wireshark -X lua_script:docs/onecast.lua
--
-- or copy it to the folder "Personal Lua Plugins" (Help, About, Folders). It reads the UDP ports
-- of its preference (-o onecast.ports:5000,6000-6010) and whatever "Decode As" gives it; it never
-- guesses.

local onecast = Proto("onecast", "onecast multicast stream")

onecast.prefs.ports = Pref.range("UDP ports", "5000", "UDP ports of the groups and of feedback", 65535)
onecast.prefs.opened = Pref.bool("Bodies were opened", false,
    "Read bodies as clear text even where a key epoch says that they are sealed")

local KINDS = {
    [1] = "data", [2] = "parity", [3] = "repair", [4] = "nak", [5] = "ncf", [6] = "refused",
    [7] = "heartbeat", [8] = "announce", [9] = "report", [10] = "register",
    [11] = "cookie_challenge", [12] = "cookie_reply", [13] = "catch_up_request",
    [14] = "catch_up_accept", [15] = "evict", [16] = "bye", [17] = "end", [18] = "manifest",
    [19] = "key_request", [20] = "key_update",
}
local REFUSED = { [1] = "too late", [2] = "over budget" }
local MODES = { [0] = "bytes", [1] = "messages" }
local STATES = { [0] = "live", [1] = "catching up", [2] = "complete", [3] = "at the end, with losses" }
local EVICTED = { [1] = "slow", [2] = "silent", [3] = "kicked", [4] = "no room", [5] = "not admitted" }
local LEFT = { [1] = "done", [2] = "told to leave", [3] = "failed" }
local FAMILIES = { [0] = "none", [4] = "IPv4", [6] = "IPv6" }
local PRESENCE = { [0] = "absent", [1] = "present" }
local FLAGS_OR_NOT = { [0] = "no", [1] = "yes" }
local EXTENSIONS = { [0] = "padding", [1] = "signature" }

-- Every field, by the name it has in a display filter after "onecast.".
local f = {}

local function field(make, name, title, ...)
    f[name] = make("onecast." .. name, title, ...)
end
local function u8(name, title, ...) field(ProtoField.uint8, name, title, base.DEC, ...) end
local function u16(name, title) field(ProtoField.uint16, name, title, base.DEC) end
local function u32(name, title) field(ProtoField.uint32, name, title, base.DEC) end
local function u64(name, title) field(ProtoField.uint64, name, title, base.DEC) end
local function us(name, title) field(ProtoField.uint32, name, title, base.UNIT_STRING, { " us" }) end
local function ms(make, name, title) field(make, name, title, base.UNIT_STRING, { " ms" }) end
local function bytes(name, title) field(ProtoField.bytes, name, title) end
local function text(name, title) field(ProtoField.string, name, title, base.UNICODE) end

-- §2
u8("version", "Version")
u8("kind", "Kind", KINDS)
field(ProtoField.uint8, "flags", "Flags", base.HEX)
field(ProtoField.uint8, "flags.depth_log2", "Interleaving depth, log2", base.DEC, nil, 0x07)
field(ProtoField.bool, "flags.report_wanted", "A report is wanted", 8, nil, 0x80)
field(ProtoField.bool, "flags.no_digest", "The End will tell no SHA-256", 8, nil, 0x80)
field(ProtoField.bool, "flags.echo_only", "Nothing is wanted but an announce", 8, nil, 0x80)
field(ProtoField.bool, "flags.by_unicast", "What goes to the group is wanted by unicast", 8, nil, 0x80)
u8("key_epoch", "Key epoch")
u16("stream", "Stream")
field(ProtoField.uint64, "session", "Session", base.HEX)
u64("number", "Number")
us("sent_at", "Sent at")
u32("block", "Block starts at seq (low 32 bits)")
u8("index", "Index")
u8("k", "k")
bytes("sealed", "Sealed body")
bytes("tag", "Tag")
-- §3.1 to §3.3
u16("len", "Payload length")
field(ProtoField.uint8, "prefix_flags", "Prefix flags", base.HEX)
field(ProtoField.bool, "prefix_flags.records", "Payload is records", 8, nil, 0x01)
u16("first_record", "First record at offset")
us("first_sent", "First sent at")
bytes("payload", "Payload")
bytes("parity", "Parity")
-- §3.4 to §3.6
bytes("subscriber", "Subscriber")
u16("count", "Count")
field(ProtoField.none, "range", "Range")
u64("range.first", "From seq")
u32("range.count", "Packets")
field(ProtoField.none, "need", "Need")
u64("need.block", "Block at seq")
u8("need.count", "More packets")
u8("refused.reason", "Reason", REFUSED)
-- §3.7, §3.8
u64("trail", "Trail")
u64("lead", "Lead")
u64("last_block", "Last closed block at seq")
u8("last_k", "Its k")
ms(ProtoField.uint16, "next", "Next heartbeat in")
us("grtt", "GRTT")
u8("group_size", "Group size, step")
u8("enrol", "Registers, one in 2^n")
u8("sample", "Reports unregistered, one in 2^n")
u16("round", "Round")
ms(ProtoField.uint16, "report", "Between two reports")
u8("alarm", "Loss to speak up at, 256ths")
field(ProtoField.absolute_time, "started", "Started", base.UTC)
u8("name_len", "Name length")
text("name", "Name")
u8("mode", "Mode", MODES)
ms(ProtoField.uint32, "deadline", "Deadline")
u16("coded_len", "Coded body length")
u8("full_k", "k of a full block")
field(ProtoField.uint64, "rate", "Rate", base.UNIT_STRING, { " bit/s" })
ms(ProtoField.uint16, "heartbeat_max", "Longest heartbeat")
u8("feedback.family", "Feedback address family", FAMILIES)
field(ProtoField.ipv4, "feedback.ipv4", "Feedback address")
field(ProtoField.ipv6, "feedback.ipv6", "Feedback address")
bytes("feedback.unused", "Unused address bytes")
u16("feedback.port", "Feedback port")
u8("nonce_echo.present", "Nonce echo", PRESENCE)
bytes("nonce", "Nonce")
-- §3.9
u8("state", "State", STATES)
u64("limit", "Limit")
u64("highest", "Highest")
u64("next_seq", "Next")
u64("received", "Received")
u64("repaired", "Repaired")
u64("recovered", "Recovered")
u64("given_up", "Given up")
u64("lost.wire", "Lost on the wire")
u64("lost.kernel", "Lost in the kernel")
u64("lost.ring", "Lost in the ring")
u64("lost.late", "Late")
u64("lost.unauthentic", "Not authentic")
u32("bursts.1", "Bursts of 1")
u32("bursts.2", "Bursts of 2")
u32("bursts.3", "Bursts of 3-4")
u32("bursts.5", "Bursts of 5-8")
u32("bursts.9", "Bursts of 9 and more")
u32("ce", "Congestion experienced")
us("jitter", "Jitter")
us("echo", "Echo of sent at")
us("hold", "Held for")
-- §3.10 to §3.20
bytes("cookie", "Cookie")
u64("from", "From seq")
u64("to", "To seq, not with it")
u8("evict.reason", "Reason", EVICTED)
u8("bye.reason", "Reason", LEFT)
u64("bytes", "Bytes of payload")
u8("sha256.present", "SHA-256", PRESENCE)
bytes("sha256", "SHA-256")
u8("aborted", "Aborted", FLAGS_OR_NOT)
u64("first_seq", "First seq")
bytes("hash", "Hash")
bytes("signature", "Signature")
u8("have_epoch", "Has epoch")
u8("epoch", "Epoch")
u64("from_number", "From number")
u32("node", "Node")
bytes("wrapped", "Wrapped key")
-- §5
field(ProtoField.none, "extension", "Extension")
u8("extension.type", "Type", EXTENSIONS)
u16("extension.len", "Length")
bytes("extension.value", "Value")

onecast.fields = f

local malformed = ProtoExpert.new("onecast.malformed", "Malformed",
    expert.group.MALFORMED, expert.severity.ERROR)
local unknown = ProtoExpert.new("onecast.unknown", "Not spoken here",
    expert.group.UNDECODED, expert.severity.WARN)
onecast.experts = { malformed, unknown }

-- What is thrown when a packet is not what it says. Anything else thrown is a fault in here.
local Refusal = {}

local function refuse(why)
    error(setmetatable({ why = why }, Refusal), 0)
end

-- Reads a datagram from front to back, adding each field to the tree.
local Reader = {}
Reader.__index = Reader

function Reader.new(tvb, tree)
    return setmetatable({ tvb = tvb, tree = tree, at = 0 }, Reader)
end

function Reader:left()
    return self.tvb:len() - self.at
end

-- The next `len` bytes, which must be there.
function Reader:take(len)
    if self:left() < len then
        refuse("truncated")
    end
    self.at = self.at + len
    return self.tvb:range(self.at - len, len)
end

-- Adds a field of `len` bytes; gives its bytes and its item.
function Reader:add(name, len)
    local range = self:take(len)
    return range, self.tree:add(f[name], range)
end

-- Adds a number of up to 4 bytes and gives it; of the values of `known` if that is given.
function Reader:number(name, len, known)
    local range = self:add(name, len)
    local value = range:uint()
    if known and not known[value] then
        refuse(name .. " " .. value .. " has no meaning")
    end
    return value
end

-- Adds a 64-bit number and gives it.
function Reader:long(name)
    local range = self:add(name, 8)
    return range:uint64()
end

-- Adds fields of a fixed length: { name, len }, …
function Reader:all(fields)
    for _, each in ipairs(fields) do
        self:add(each[1], each[2])
    end
end

-- Reads a list: `element` reads one, of which there are at most `max`.
function Reader:list(max, element)
    local count = self:number("count", 2)
    if count > max then
        refuse(count .. " elements where " .. max .. " are the most")
    end
    for _ = 1, count do
        element(self)
    end
    return count
end

-- Reads a group of fields of a known length below an item of its own.
function Reader:group(name, len, fields)
    if self:left() < len then
        refuse("truncated")
    end
    local outer = self.tree
    self.tree = outer:add(f[name], self.tvb:range(self.at, len))
    fields(self)
    self.tree = outer
end

-- The shortest code point of each length of its UTF-8 spelling, by the bits of the first byte.
local LEAST_OF_LENGTH = { [2] = 0x80, [3] = 0x800, [4] = 0x10000 }

-- The code point at `at` and how many bytes it has; nothing if it is no UTF-8.
local function code_point(raw, at)
    local first = raw:byte(at)
    if first < 0x80 then
        return first, 1
    end
    local len = first >= 0xf0 and 4 or first >= 0xe0 and 3 or 2
    if first < 0xc2 or first > 0xf4 or at + len - 1 > #raw then
        return nil
    end
    local point = first % 2 ^ (7 - len)
    for next = at + 1, at + len - 1 do
        local byte = raw:byte(next)
        if byte < 0x80 or byte > 0xbf then
            return nil
        end
        point = point * 64 + byte % 64
    end
    local surrogate = point >= 0xd800 and point <= 0xdfff
    if point < LEAST_OF_LENGTH[len] or point > 0x10ffff or surrogate then
        return nil
    end
    return point, len
end

local function check_text(raw)
    local at = 1
    while at <= #raw do
        local point, len = code_point(raw, at)
        if not point then
            refuse("a name that is no UTF-8")
        end
        if point < 0x20 or point >= 0x7f and point <= 0x9f then
            refuse("a control character in a name")
        end
        at = at + len
    end
end

local function name(r)
    local len = r:number("name_len", 1)
    if len > 64 then
        refuse("a name of " .. len .. " bytes")
    end
    local range = r:take(len)
    if len > 0 then
        r.tree:add_packet_field(f["name"], range, ENC_UTF_8)
        check_text(range:raw())
    end
end

local function started(r)
    local range = r:take(8)
    local whole = range:uint64()
    local seconds, micros = whole / 1000000, whole % 1000000
    r.tree:add(f["started"], range, NSTime.new(seconds:tonumber(), micros:tonumber() * 1000))
end

local function range_element(r)
    r:group("range", 12, function()
        local first = r:long("range.first")
        local count = r:number("range.count", 4)
        if count == 0 then
            refuse("a range of no packets")
        end
        if first + count < first then
            refuse("a range past the last seq")
        end
    end)
end

local function need_element(r)
    r:group("need", 9, function()
        r:add("need.block", 8)
        if r:number("need.count", 1) == 0 then
            refuse("a need of no packets")
        end
    end)
end

-- §3.1, §3.3
local function coded_body(r)
    local len = r:number("len", 2)
    local range, item = r:add("prefix_flags", 1)
    item:add(f["prefix_flags.records"], range)
    local records = range:bitfield(7, 1) == 1
    local first = r:number("first_record", 2)
    r:add("first_sent", 4)
    if len > r:left() then
        refuse("a payload of " .. len .. " bytes where " .. r:left() .. " follow")
    end
    if records and first ~= 65535 and first >= len then
        refuse("the first record starts behind the payload")
    end
    if len > 0 then
        r:add("payload", len)
    end
    -- Zeros up to the full length may follow.
    r.at = r.tvb:len()
end

-- §3.2
local function parity_body(r)
    if r:left() < 9 then
        refuse("truncated")
    end
    r:add("parity", r:left())
end

local function ranges_and_needs(r)
    r:list(64, range_element)
    r:list(64, need_element)
end

-- §3.4
local function nak(r)
    r:add("subscriber", 16)
    ranges_and_needs(r)
    r:list(32, range_element)
end

-- §3.6
local function refused(r)
    r:number("refused.reason", 1, REFUSED)
    r:add("trail", 8)
    r:list(64, range_element)
end

-- §3.7
local function heartbeat(r)
    r:all({ { "trail", 8 }, { "lead", 8 }, { "last_block", 8 }, { "last_k", 1 }, { "next", 2 },
        { "grtt", 4 }, { "group_size", 1 },
        { "enrol", 1 }, { "sample", 1 }, { "round", 2 }, { "report", 2 }, { "alarm", 1 } })
end

local function feedback_address(r)
    local family = r:number("feedback.family", 1, FAMILIES)
    local unused = ({ [0] = 16, [4] = 12, [6] = 0 })[family]
    if family == 6 then
        r:add("feedback.ipv6", 16)
    elseif family == 4 then
        r:add("feedback.ipv4", 4)
    end
    if unused > 0 and r:add("feedback.unused", unused):raw():find("[^%z]") then
        refuse("address bytes that the family does not use")
    end
    if r:number("feedback.port", 2) ~= 0 and family == 0 then
        refuse("a port without an address")
    end
end

-- §3.8
local function announce(r)
    started(r)
    name(r)
    r:number("mode", 1, MODES)
    r:add("deadline", 4)
    if r:number("coded_len", 2) < 9 then
        refuse("coded bodies without a prefix")
    end
    if r:number("full_k", 1) == 0 then
        refuse("blocks of no packets")
    end
    r:all({ { "trail", 8 }, { "lead", 8 }, { "rate", 8 }, { "heartbeat_max", 2 }, { "grtt", 4 },
        { "group_size", 1 },
        { "enrol", 1 }, { "sample", 1 }, { "round", 2 }, { "report", 2 }, { "alarm", 1 } })
    feedback_address(r)
    if r:number("nonce_echo.present", 1, PRESENCE) == 1 then
        r:add("nonce", 16)
    end
end

-- §3.9
local function report(r)
    r:add("subscriber", 16)
    r:number("state", 1, STATES)
    r:all({ { "limit", 8 }, { "highest", 8 }, { "next_seq", 8 }, { "received", 8 },
        { "repaired", 8 }, { "recovered", 8 }, { "given_up", 8 }, { "lost.wire", 8 },
        { "lost.kernel", 8 }, { "lost.ring", 8 }, { "lost.late", 8 }, { "lost.unauthentic", 8 },
        { "bursts.1", 4 }, { "bursts.2", 4 }, { "bursts.3", 4 }, { "bursts.5", 4 },
        { "bursts.9", 4 }, { "ce", 4 }, { "jitter", 4 }, { "echo", 4 }, { "hold", 4 } })
end

-- §3.10
local function register(r)
    r:add("subscriber", 16)
    name(r)
    r:add("nonce", 16)
end

-- §3.11
local function cookie_challenge(r)
    r:all({ { "subscriber", 16 }, { "cookie", 16 } })
end

-- §3.12
local function cookie_reply(r)
    cookie_challenge(r)
    name(r)
end

-- §3.13
local function catch_up_request(r)
    r:all({ { "subscriber", 16 }, { "from", 8 }, { "to", 8 } })
end

-- §3.14
local function catch_up_accept(r)
    catch_up_request(r)
    r:add("trail", 8)
end

-- §3.15
local function evict(r)
    r:add("subscriber", 16)
    r:number("evict.reason", 1, EVICTED)
end

-- §3.16
local function bye(r)
    r:add("subscriber", 16)
    r:number("bye.reason", 1, LEFT)
    r:add("next_seq", 8)
end

-- §3.17
local function the_end(r)
    r:all({ { "lead", 8 }, { "bytes", 8 } })
    if r:number("sha256.present", 1, PRESENCE) == 1 then
        r:add("sha256", 32)
    end
    r:number("aborted", 1, FLAGS_OR_NOT)
end

-- §3.18
local function manifest(r)
    r:add("first_seq", 8)
    started(r)
    local count = r:list(255, function() r:add("hash", 16) end)
    if count == 0 then
        refuse("a manifest of no packets")
    end
    r:add("signature", 64)
end

-- §3.19
local function key_request(r)
    r:all({ { "subscriber", 16 }, { "have_epoch", 1 }, { "nonce", 16 } })
end

-- §3.20
local function key_update(r)
    r:all({ { "epoch", 1 }, { "from_number", 8 }, { "node", 4 } })
    local len = r:number("count", 2)
    if len > 512 then
        refuse("a wrapped key of " .. len .. " bytes")
    end
    if len > 0 then
        r:add("wrapped", len)
    end
end

local BODIES = {
    [1] = coded_body, [2] = parity_body, [3] = coded_body, [4] = nak, [5] = ranges_and_needs,
    [6] = refused, [7] = heartbeat, [8] = announce, [9] = report, [10] = register,
    [11] = cookie_challenge, [12] = cookie_reply, [13] = catch_up_request,
    [14] = catch_up_accept, [15] = evict, [16] = bye, [17] = the_end, [18] = manifest,
    [19] = key_request, [20] = key_update,
}

-- The shortest datagram of a kind that is answered: no answer is longer (§4.4).
local LEAST = { [10] = 58, [13] = 66 }

-- §3.10, §4.13: of a register that asks for an announce
local LEAST_ECHO_ONLY = 248

-- §4.13: what subscribers say shows their id, also when it is sealed
local FEEDBACK = {
    [4] = true, [9] = true, [10] = true, [12] = true, [13] = true, [16] = true, [19] = true,
}

-- §4.13
local TAG_LEN = 16

local function sealed(r, kind, pinfo)
    pinfo.cols.info:append(" (sealed)")
    if FEEDBACK[kind] then
        r:all({ { "subscriber", 16 } })
    end
    if r:left() < TAG_LEN then
        refuse("truncated: no tag")
    end
    if r:left() > TAG_LEN then
        r:add("sealed", r:left() - TAG_LEN)
    end
    r:add("tag", TAG_LEN)
end

-- §5
local function extensions(r)
    while r:left() > 0 do
        if r:left() < 3 then
            refuse("bytes left over")
        end
        local len = r.tvb:range(r.at + 1, 2):uint()
        r:group("extension", 3 + len, function()
            r:all({ { "extension.type", 1 }, { "extension.len", 2 } })
            if len > 0 then
                r:add("extension.value", len)
            end
        end)
    end
end

-- §2; gives kind, key epoch and flags.
local function header(r)
    r:add("version", 1)
    local kind = r:number("kind", 1)
    local flags, item = r:add("flags", 1)
    if kind <= 3 then
        item:add(f["flags.depth_log2"], flags)
    elseif kind == 7 then
        item:add(f["flags.depth_log2"], flags)
        item:add(f["flags.report_wanted"], flags)
    elseif kind == 8 then
        item:add(f["flags.no_digest"], flags)
    elseif kind == 9 or kind == 12 then
        item:add(f["flags.by_unicast"], flags)
    elseif kind == 10 then
        item:add(f["flags.echo_only"], flags)
    end
    local epoch = r:number("key_epoch", 1)
    r:all({ { "stream", 2 }, { "session", 8 }, { "number", 8 }, { "sent_at", 4 } })
    return kind, epoch, flags:uint()
end

local function place_in_block(r, kind, pinfo)
    local block = r:number("block", 4)
    local index = r:number("index", 1)
    local k = r:number("k", 1)
    pinfo.cols.info:append(string.format(" block %u index %u k %u", block, index, k))
    local is_parity = kind == 2
    if is_parity and (k == 0 or index < k) or not is_parity and k ~= 0 and index >= k then
        refuse("index " .. index .. " cannot be, with k " .. k)
    end
end

local function packet(r, pinfo)
    if r:left() == 0 then
        refuse("truncated")
    end
    local version = r.tvb:range(0, 1):uint()
    if version ~= 1 then
        r:add("version", 1)
        r.tree:add_proto_expert_info(unknown, "version " .. version .. " is not spoken here")
        pinfo.cols.info = "version " .. version
        return
    end
    if r:left() > 9000 then
        refuse("longer than 9000 bytes")
    end
    local kind, epoch, flags = header(r)
    if not KINDS[kind] then
        r.tree:add_proto_expert_info(unknown, "kind " .. kind .. " is not known")
        pinfo.cols.info = "kind " .. kind
        return
    end
    pinfo.cols.info = KINDS[kind]
    if kind <= 3 then
        place_in_block(r, kind, pinfo)
    end
    if epoch ~= 0 and not onecast.prefs.opened then
        return sealed(r, kind, pinfo)
    end
    BODIES[kind](r)
    extensions(r)
    local asks_echo = kind == 10 and flags >= 0x80
    if r.tvb:len() < (asks_echo and LEAST_ECHO_ONLY or LEAST[kind] or 0) then
        refuse("truncated: shorter than its answer")
    end
end

function onecast.dissector(tvb, pinfo, root)
    pinfo.cols.protocol = "onecast"
    local tree = root:add(onecast, tvb())
    local reader = Reader.new(tvb, tree)
    local ok, thrown = pcall(packet, reader, pinfo)
    if ok then
        return tvb:len()
    end
    if getmetatable(thrown) ~= Refusal then
        error(thrown, 0)
    end
    tree:add_proto_expert_info(malformed, "Malformed: " .. thrown.why)
    pinfo.cols.info:append(" [malformed: " .. thrown.why .. "]")
    return tvb:len()
end

local udp = DissectorTable.get("udp.port")
local registered = nil

local function register_ports()
    if registered then
        udp:remove(registered, onecast)
        registered = nil
    end
    if onecast.prefs.ports ~= "" then
        registered = onecast.prefs.ports
        udp:add(registered, onecast)
    end
end

onecast.prefs_changed = register_ports
register_ports()
udp:add_for_decode_as(onecast)
