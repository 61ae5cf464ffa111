// Unit tests of the page's pure modules. Each is a sentence and a function that throws when it is not true.

import * as board from "../static/board.js";
import { Notices } from "../static/join_leave_notices.js";
import { Outbox } from "../static/outbox.js";
import * as protocol from "../static/protocol.js";
import { CEILING, FLOOR, afterClose, backoff } from "../static/retry.js";

export const tests = {};
const test = (sentence, run) => (tests[sentence] = run);

function same(actual, expected) {
	const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
	if (a !== b) throw new Error(`expected ${b}, got ${a}`);
}
const holds = (condition, what) => {
	if (!condition) throw new Error(what);
};

// -- retry --

test("the wait is spread between floor and a ceiling that doubles up to ten seconds", () => {
	same([0, 1, 2, 3, 4, 5, 50].map((tries) => backoff(tries, 0)), Array(7).fill(FLOOR));
	same([0, 1, 2, 3, 4, 50].map((tries) => backoff(tries, 1)), [1_000, 2_000, 4_000, 8_000, CEILING, CEILING]);
	same(backoff(0, 0.5), 750);
});

test("a refusal ends the tries", () => {
	for (const code of [4400, 4403]) same(afterClose(code, 0, 0.5).delay, null);
	for (const code of [1000, 1001, 1006, 1009, 1012, 4408, 4429, 4503, 4999]) holds(afterClose(code, 0, 0.5).delay > 0, code);
});

test("who sent too much waits five seconds at least", () => {
	same([0, 9].map((tries) => afterClose(4429, tries, 0).delay), [5_000, 5_000]);
	same(afterClose(4429, 0, 1).delay, 10_000);
});

test("a restart and a full house spread their guests wider than a lost line", () => {
	const widest = (code) => afterClose(code, 0, 1).delay;
	holds(widest(1012) > widest(1006) && widest(1001) > widest(1006) && widest(4503) > widest(1006), "not wider");
});

// -- outbox --

const filled = (...ids) => {
	const outbox = new Outbox();
	for (const id of ids) outbox.add(id, "alice", 10, 0);
	return outbox;
};
const ids = (scores) => scores.map(({ opId }) => opId);

test("a score in flight is not sent twice on one connection", () => {
	const outbox = filled("one", "two");
	same(ids(outbox.due("alice", 0)), ["one", "two"]);
	same(ids(outbox.due("alice", 1)), []);
});

test("a cut connection sends everything unanswered again, with the same ids and in order", () => {
	const outbox = filled("one", "two", "three");
	outbox.due("alice", 0);
	outbox.take("two");
	outbox.cut();
	same(ids(outbox.due("alice", 1)), ["one", "three"]);
});

test("an answered score is done, and a second answer is nothing new", () => {
	const outbox = filled("one");
	outbox.due("alice", 0);
	same(outbox.take("one").opId, "one");
	same(outbox.take("one"), undefined);
	outbox.cut();
	same(outbox.due("alice", 1), []);
});

test("a long queue goes out ten at a time", () => {
	const outbox = filled(...Array.from({ length: 25 }, (_, i) => `op-${i}`));
	same(outbox.due("alice", 0).length, 10);
	outbox.take("op-3");
	same(ids(outbox.due("alice", 0)), ["op-10"]);
});

test("a rate limit holds everything back until the given time", () => {
	const outbox = filled("one", "two");
	outbox.due("alice", 0);
	outbox.postpone("one", 500);
	outbox.add("three", "alice", 5, 0);
	same(outbox.due("alice", 499), []);
	same(outbox.wakeAt(499), 500);
	same(ids(outbox.due("alice", 500)), ["one", "three"]);
	same(outbox.wakeAt(500), null);
});

test("after a rate limit one score goes each gap, until none waits", () => {
	const outbox = filled("one", "two", "three");
	outbox.due("alice", 0);
	outbox.postpone("two", 50, 50);
	outbox.postpone("three", 40, 40);
	same(outbox.due("alice", 49), []);
	same(ids(outbox.due("alice", 50)), ["two"]);
	same([outbox.due("alice", 99), outbox.wakeAt(99)], [[], 100]);
	same(ids(outbox.due("alice", 100)), ["three"]);
	same(outbox.due("alice", 150), []);
	for (const id of ["four", "five"]) outbox.add(id, "alice", 10, 150);
	same(ids(outbox.due("alice", 150)), ["four", "five"]);
});

test("what is unanswered outlives a reload, and is in flight no more", () => {
	const outbox = filled("one", "two", "three");
	outbox.due("alice", 5);
	outbox.take("two");
	const after = new Outbox(JSON.parse(JSON.stringify(outbox.content)));
	same(ids(after.due("alice", 9)), ["one", "three"]);
	same(after.content.map((score) => score.sentFirst), [5, 5]);
});

test("the oldest unanswered points tell since when points are pending", () => {
	const outbox = new Outbox();
	outbox.add("one", "alice", 10, 5);
	outbox.add("two", "alice", 10, 7);
	outbox.due("alice", 8);
	outbox.take("one");
	same(outbox.pending("alice"), { count: 1, points: 10, since: 7 });
});

test("points wait for the player who made them", () => {
	const outbox = filled("one");
	same(outbox.due("bob", 0), []);
	same(outbox.pending("bob"), { count: 0, points: 0, since: null });
	same(outbox.pending("alice"), { count: 1, points: 10, since: 0 });
	same(ids(outbox.due("alice", 0)), ["one"]);
});

test("what the service may have forgotten is given up, what never left is not", () => {
	const outbox = filled("sent");
	outbox.due("alice", 0);
	outbox.cut();
	outbox.add("fresh", "alice", 10, 0);
	same(ids(outbox.abandon(269_000)), []);
	same(ids(outbox.abandon(271_000)), ["sent"]);
	same(ids(outbox.due("alice", 271_000)), ["fresh"]);
});

test("a full outbox refuses", () => {
	const outbox = new Outbox();
	const taken = Array.from({ length: 300 }, (_, i) => outbox.add(`op-${i}`, "alice", 1, 0)).filter(Boolean).length;
	same(taken, 200);
});

// -- board --

const entry = (userId, score, rank, more = {}) => ({ userId, username: userId, score, rank, ...more });
const frame = (leaderboard, more = {}) => board.boardOf({ epoch: "e", version: 1, leaderboard, ...more });

test("a frame is taken when its epoch is another or its version not lower", () => {
	const shown = { epoch: "e", version: 7 };
	same([6, 7, 8].map((version) => board.isNews(shown, { epoch: "e", version })), [false, true, true]);
	holds(board.isNews(shown, { epoch: "f", version: 0 }), "a new epoch");
	holds(board.isNews(board.NO_BOARD, { epoch: "e", version: 0 }), "the first frame");
});

test("missing and odd fields get harmless values", () => {
	for (const data of [{}, { leaderboard: null }, { leaderboard: [null, 7, "x", {}, { userId: 5 }] }]) {
		same(board.boardOf(data).rows, []);
	}
	const [row] = frame([{ userId: "alice", color: "red; } * { display: none", score: "9", rank: null }]).rows;
	same([row.username, row.avatar, row.color, row.score, row.rank, row.isConnected], ["alice", "", "#7d8894", 0, 1, false]);
});

test("a user stands on the board once", () => {
	same(frame([entry("alice", 5, 1), entry("alice", 4, 2)]).rows.length, 1);
});

test("players of one rank are tied, by either rule", () => {
	const tied = (...ranks) => frame(ranks.map((rank, i) => entry(`u${i}`, 9, rank))).rows.map((row) => row.tied);
	same(tied(1, 2, 2, 4), [false, true, true, false]);
	same(tied(1, 1, 2), [true, true, false]);
});

test("the extent tells a part of thousands, a whole, and one", () => {
	const told = (shown, total) => board.extent(frame(Array.from({ length: shown }, (_, i) => entry(`u${i}`, 1, 1)), { totalPlayers: total }));
	same(told(20, 3482), "1–20 of 3,482 players");
	same(told(6, 6), "6 players");
	same(told(1, 1), "1 player");
	same(told(0, 0), "0 players");
});

test("the own standing follows the board, but never back in time", () => {
	const standing = board.standingOf({ epoch: "e", version: 5, score: 50, rank: 1 });
	same(board.standingOn(frame([entry("alice", 40, 2)], { version: 4 }), "alice", standing), standing);
	same(board.standingOn(frame([entry("alice", 60, 1)], { version: 6 }), "alice", standing).score, 60);
	same(board.standingOn(frame([], { version: 6, totalPlayers: 0 }), "alice", standing).rank, null);
	same(board.standingOn(frame([entry("bob", 90, 1)], { version: 6, totalPlayers: 9 }), "alice", standing), standing);
});

test("the own row is pinned below a board that does not reach it, and only then", () => {
	const shown = frame([entry("a", 30, 1), entry("b", 20, 2)], { totalPlayers: 9 });
	const player = { userId: "z", username: "Zoë", color: "red" };
	const told = (board) => board.rows.map(({ userId, rank, score, pinned }) => [userId, rank, score, pinned === true]);
	const others = [["a", 1, 30, false], ["b", 2, 20, false]];
	same(told(board.pinned(shown, player, { rank: 7, score: 5 })), [...others, ["z", 7, 5, true]]);
	same(board.pinned(shown, player, { rank: 7, score: 5 }).rows[2].color, "#7d8894");
	same(told(board.pinned(shown, player, { rank: null, score: 0 })), others);
	same(told(board.pinned(shown, { userId: "b" }, { rank: 2, score: 20 })), others);
	same(told(board.pinned(shown, null, { rank: 7, score: 5 })), others);
	same(told(board.pinned(board.NO_BOARD, player, { rank: 7, score: 5 })), []);
});

test("rows of one name are told apart by a piece of their ids, and others have none", () => {
	const tags = (...rows) => frame(rows.map(([id, username]) => entry(id, 1, 1, { username }))).rows.map(({ tag }) => tag);
	same(tags(["anna-0a1b2c3d4e", "Anna"], ["bob", "Bob"], ["anna-9f8e7d6c5b", "Anne"]), ["", "", ""]);
	same(tags(["anna-0a1b2c3d4e", "Anna"], ["bob", "Bob"], ["anna-9f8e7d6c5b", "ANNA"]), ["3d4e", "", "6c5b"]);
	same(tags(["alice", "Alice"], ["alice-0a1b2c3d4e", "Alice"]), ["alice", "3d4e"]);
	same(tags(["first-number-7", "Al"], ["second-number-7", "Al"]), ["first-number-7", "second-number-7"]);
});

test("the own pinned row is told apart from one of its name, too", () => {
	const shown = frame([entry("anna-0a1b2c3d4e", 30, 1, { username: "Anna" })], { totalPlayers: 9 });
	const player = { userId: "anna-9f8e7d6c5b", username: "Anna", color: "" };
	same(board.pinned(shown, player, { rank: 7, score: 5 }).rows.map(({ tag }) => tag), ["3d4e", "6c5b"]);
	same(shown.rows[0].tag, "");
});

test("an age is told in one short word", () => {
	const told = [-5, 1_999, 2_000, 99_999, 100_000, 5_999_000, 6_000_000].map(board.ago);
	same(told, ["just now", "just now", "2 s ago", "99 s ago", "1 min ago", "99 min ago", "1 h ago"]);
});

test("changes tell gain and climb of who stayed, and nothing of others", () => {
	const before = frame([entry("a", 30, 1), entry("b", 20, 2), entry("c", 10, 3)]);
	const after = frame([entry("b", 45, 1), entry("a", 30, 2), entry("d", 12, 3)]);
	same([...board.changes(before, after)], [["b", { gain: 25, climb: 1 }], ["a", { gain: 0, climb: -1 }]]);
});

test("a share of the leader stays between nothing and all", () => {
	same([board.share(50, 100), board.share(-5, 100), board.share(5, 0), board.share(-5, -9)], [0.5, 0, 0, 0]);
});

test("what is spoken is the own rank first, then a new leader", () => {
	const before = frame([entry("a", 30, 1), entry("b", 20, 2)]);
	const after = frame([entry("b", 45, 1), entry("a", 30, 2)]);
	same(board.spoken(before, after, "a"), "You are number 2.");
	same(board.spoken(before, after, undefined), "b leads.");
	same(board.spoken(before, before, "a"), null);
});

test("numbers are grouped and signed", () => {
	same([board.count(1234567), board.signed(25), board.signed(-1000)], ["1,234,567", "+25", "−1,000"]);
});

// -- notices --

test("a thousand who join at once are five names and one line", () => {
	const notices = new Notices();
	const named = Array.from({ length: 1000 }, () => notices.names(true, 0)).filter(Boolean).length;
	same([named, notices.summary()], [5, "And 995 joined"]);
});

test("arrivals and departures without names are counted separately", () => {
	const notices = new Notices();
	notices.add(1200, 3, 0);
	notices.add(1, 0, 10);
	same(notices.summary(), "1,201 joined · 3 left");
});

test("after a quiet second people have names again", () => {
	const notices = new Notices();
	for (let i = 0; i < 9; i++) notices.names(false, 0);
	same([notices.names(false, 1_000), notices.summary()], [true, null]);
});

// -- protocol --

test("a frame that is no message is nothing", () => {
	for (const text of ["", "{", "null", "7", "[]", '{"data":{}}', '{"type":5}']) same(protocol.decode(text), null);
	same(protocol.decode('{"type":"new","data":null}'), { type: "new", data: {} });
});

test("every valid name has a valid id, and different names have different ids", () => {
	const names = ["Alice", "Anna Lena", "Zoë", "Zoe", "李雷", "韩梅梅", "...", "a".repeat(32), "🦊", "O'Neil", "O Neil", "-", "שלום"];
	const derived = names.map(protocol.userIdOf);
	holds(derived.every(protocol.isId), derived);
	same(new Set(derived).size, names.length);
	same([derived[0], derived[1]], ["alice", "anna-lena"]);
});

test("a guest is one per name and device, under a valid id", () => {
	const devices = [protocol.newDevice(), protocol.newDevice()];
	const guests = ["Anna", "Zoë", "a".repeat(32), "é".repeat(32)].flatMap((name) => devices.map((device) => protocol.guestIdOf(name, device)));
	holds(guests.every(protocol.isId), guests);
	same(new Set(guests).size, 8);
	same(protocol.guestIdOf("ANNA ", devices[0]), protocol.guestIdOf("anna", devices[0]));
});

test("names are accepted as the service accepts them", () => {
	same([protocol.nameFault("  Zoe\u0308 "), protocol.tidy("  Zoe\u0308 ")], ["", "Zoë"]);
	for (const bad of ["", "   ", "a\u0000b", "a\u202eb", "a\nb", "x".repeat(33), "e\u0301\u0302\u0303x\u0301\u0302\u0303", "\ud800",
		"\u3164", "\u2800x", "\ufe0f", "\u0301", "a\u200db", "👨\u200d", "\u200d👨", "👨\u200d\u200d👩", "\u0f40" + "\u0f71".repeat(9)]) {
		holds(protocol.nameFault(bad), bad);
	}
	for (const good of ["<b>Bob</b>", "မောင်မောင်ကြီး", "क्\u200dष", "བསྒྲུབས་", "ශ්\u200dරීලංකා", "می\u200cخواهم", "👨\u200d👩\u200d👧\u200d👦", "❤️\u200d🔥", "👩🏽\u200d🚀"]) {
		same([good, protocol.nameFault(good)], [good, ""]);
	}
});

test("what came is quoted short, isolated and without anything invisible", () => {
	same(protocol.quoted("a\u202e/\nb"), "“\u2068a\ufffd/\ufffdb\u2069”");
	same(protocol.quoted("🦊".repeat(41)), `“\u2068${"🦊".repeat(40)}\u2069”… (41 characters)`);
});

test("the socket's address follows the page behind a prefix and over TLS", () => {
	same(protocol.socketUrl("http://h:8000/?user=a#b"), "ws://h:8000/ws");
	same(protocol.socketUrl("https://h/proxy/8000/"), "wss://h/proxy/8000/ws");
});

test("operation ids are valid and never the same", () => {
	const made = new Set(Array.from({ length: 1000 }, protocol.newOpId));
	same(made.size, 1000);
	holds([...made].every((id) => /^[A-Za-z0-9_-]{8,64}$/.test(id)), "an id is not valid");
});
