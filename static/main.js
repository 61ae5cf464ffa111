// The composition root: reads the address, connects connection, board and view.

import { NO_BOARD, NO_STANDING, boardOf, isNews, signed, standingOf, standingOn } from "./board.js";
import { Connection } from "./connection.js";
import { Notices } from "./join_leave_notices.js";
import { DEFAULT_SESSION, guestIdOf, isId, nameFault, newDevice, newSecret, quoted, socketUrl, tidy, userIdOf } from "./protocol.js";
import { View } from "./view.js";

const address = new URLSearchParams(location.search);
const asked = (what) => address.get(what) ?? "";
const sessionId = asked("session") || DEFAULT_SESSION;
const notices = new Notices();

/** What a tab, or a device, keeps over reloads; if that is forbidden, the page forgets. */
const keeping = (storage) => ({
	get: (name) => tried(() => JSON.parse(storage().getItem(`leaderboard:${name}`))),
	set: (name, value) => tried(() => storage().setItem(`leaderboard:${name}`, JSON.stringify(value))),
});
const memory = keeping(() => sessionStorage);
const device = keeping(() => localStorage);

function tried(act) {
	try {
		return act();
	} catch {
		return null;
	}
}

/** What this device has been given once, by all its tabs, or by this one if the device may not keep it. */
function lasting(name, make) {
	const value = device.get(name) ?? memory.get(name) ?? make();
	device.set(name, value);
	memory.set(name, value);
	return value;
}

const fragment = (what) => new URLSearchParams(location.hash.slice(1)).get(what);

/** The secret in `#secret=SECRET`, with which the notebook's pages play as the notebook does, else this device's. */
function secret() {
	const given = fragment("secret") ?? memory.get(`given:${sessionId}`);
	if (given) memory.set(`given:${sessionId}`, given);
	return given || lasting(`secret:${sessionId}`, newSecret);
}

const connection = new Connection(socketUrl(document.baseURI), sessionId, secret(), memory);

const state = {
	sessionId,
	connection,
	board: NO_BOARD,
	standing: NO_STANDING,
	player: null, // {userId, username, avatar, color}
	people: [], // the demo users
	boardAt: null, // ms on the clock of performance.now()
	storage: "", // "memory" or "redis"
};

const view = new View(state, asked("view"), asked("theme"));
const here = (path) => new URL(path, document.baseURI);

// -- Who plays --

function play(userId, username) {
	if (userId !== state.player?.userId) tellOfUnsent();
	const known = state.people.find((person) => person.id === userId);
	state.player = { ...known, userId, username: username ?? known?.username ?? userId };
	state.standing = standingOn(state.board, userId, NO_STANDING);
	memory.set(`player:${sessionId}`, { userId, username });
	connection.play(userId, username);
	view.help("fault", "");
	view.changed();
}

function watch() {
	tellOfUnsent();
	state.player = null;
	state.standing = NO_STANDING;
	memory.set(`player:${sessionId}`, false);
	device.set(`guest:${sessionId}`, null);
	connection.watch();
	view.changed();
}

/** Points that wait for the line wait on for the player who leaves. */
function tellOfUnsent() {
	const { count, points } = connection.pending;
	if (count > 0 && connection.state !== "live") view.notice(`${signed(points)} not sent: play as ${quoted(state.player.username)} again here`);
}

/** Plays as this device's guest of that name; returns why not, or "". */
function playAsGuest(text) {
	const fault = nameFault(text);
	if (fault) return fault;
	const username = tidy(text);
	play(guestIdOf(username, deviceId()), username);
	device.set(`guest:${sessionId}`, { userId: state.player.userId, username });
	return "";
}

let ownDevice = null; // for a device that may not keep it

function deviceId() {
	ownDevice ??= lasting("device", newDevice);
	return ownDevice;
}

/** The user in the address, else the tab's before a reload, else the device's last guest, else none. */
function firstSeat() {
	const [user, username] = [asked("user"), asked("username")];
	const odd = [isId(user) ? "" : user, username].find((name) => name && nameFault(name));
	if (odd) return view.help("fault", `Nobody can play as ${quoted(odd)}. ${nameFault(odd)}`);
	if (isId(user)) return play(user, username ? tidy(username) : undefined);
	if (user) return play(userIdOf(user), tidy(username || user));
	if (username) return playAsGuest(username);
	if (view.kind !== "player") return;
	const before = memory.get(`player:${sessionId}`) ?? device.get(`guest:${sessionId}`);
	if (before) play(before.userId, before.username);
}

// -- Messages --

const said = {
	__proto__: null, // no other keys
	"leaderboard-update"(data) {
		const board = boardOf(data);
		if (!isNews(state.board, board)) return;
		state.board = board;
		state.boardAt = performance.now();
		if (state.player) state.standing = standingOn(board, state.player.userId, state.standing);
		if (board.lastUpdate?.type) view.resetGains();
		if (typeof board.lastUpdate?.message === "string") view.notice(board.lastUpdate.message);
	},
	"user-rank-update"(data) {
		const standing = standingOf(data);
		if (data.userId === state.player?.userId && isNews(state.standing, standing)) state.standing = standing;
	},
	"session-stage"({ frozen, podium }) {
		if (frozen) view.notice("The board is frozen.");
		if (podium) view.notice("The show is over.");
	},
	"participant-joined": (data) => presence(data, true),
	"participant-left": (data) => presence(data, false),
	"participants-changed"({ joined, left, totalParticipants }) {
		participants(totalParticipants);
		notices.add(Number(joined) || 0, Number(left) || 0, performance.now());
		view.summary(notices.summary());
	},
};

function presence({ userId, username, avatar, totalParticipants }, joined) {
	participants(totalParticipants);
	if (userId === state.player?.userId) {
		if (avatar) state.player.avatar ??= avatar;
		if (state.player.joined) return; // again, after a reconnect
		state.player.joined = joined;
	}
	if (notices.names(joined, performance.now())) view.notice(joined ? "joined" : "left", username ?? userId, avatar);
	else view.summary(notices.summary());
}

function participants(total) {
	if (Number.isFinite(total)) state.board = { ...state.board, totalParticipants: total };
}

connection.addEventListener("message", ({ detail: { type, data } }) => {
	said[type]?.(data); // unknown types are for newer pages
	view.changed();
});
connection.addEventListener("refused", ({ detail: { code, message, seat } }) => {
	const known = code === "taken" && `Somebody else plays as ${quoted(state.player.username)}. Choose another name.`;
	view.notice(known || (typeof message === "string" ? message : "The service refused that."));
	if (seat) watch();
});
connection.addEventListener("state", () => {
	if (connection.state === "live") {
		view.help("host-help", "");
		load();
	}
	view.changed();
});

const ask = (path) => fetch(here(path)).then((answer) => answer.json()).catch(() => ({}));

/** Loads what the socket does not send: the demo users, and where scores are kept. */
async function load() {
	state.storage = (await ask("health")).storage;
	view.changed();
	if (state.people.length > 0) return;
	const { availableUsers = [] } = await ask("api/demo"); // optional, as any name may play; retried after a reconnect
	state.people = availableUsers.filter(({ id }) => isId(id));
	const own = state.people.find(({ id }) => id === state.player?.userId);
	if (own) state.player = { ...own, ...state.player };
	if (own && state.player.username === own.id) state.player.username = own.username;
	view.changed();
}

// -- Actions --

let adminToken = memory.get("admin");

/** Takes the admin token from `#admin=TOKEN`. */
function takeToken() {
	const token = fragment("admin");
	if (!token && !fragment("secret")) return;
	if (token) memory.set("admin", (adminToken = token));
	history.replaceState(null, "", location.pathname + location.search); // keep them off the projector
}

/** `text` as a header can carry it: one character for each byte. */
const utf8 = (text) => String.fromCharCode(...new TextEncoder().encode(text));

async function host(action) {
	const url = here(`api/demo/${action}`);
	url.searchParams.set("sessionId", sessionId);
	view.help("host-help", "");
	try {
		const answer = await fetch(url, {
			method: "POST",
			headers: adminToken ? { Authorization: `Bearer ${utf8(adminToken)}` } : {},
		});
		if (!answer.ok) view.help("host-help", refusal(answer.status, await answer.json().catch(() => ({}))));
	} catch {
		view.help("host-help", "The service cannot be reached.");
	}
}

function refusal(status, { detail }) {
	if (status === 429) return "Too many wrong tokens came from here. Wait a minute.";
	if (status !== 401 && status !== 403) return `The service could not do that: ${typeof detail === "string" ? detail : status}.`;
	if (status === 403) return "Only a person at the service's own machine may do this, as it has no admin token.";
	if (adminToken) return "The service does not accept this admin token.";
	return "Only the host may do this: open the page with #admin=TOKEN at the end of its address.";
}

const actions = {
	leave: watch,
	populate: () => host("populate"),
	reset: () => host("reset"),
	retry: () => connection.retryNow(),
};

document.addEventListener("click", ({ target }) => {
	const button = target.closest("button");
	if (!button) return;
	const { join, points, action } = button.dataset;
	if (join) play(join);
	if (points && !connection.score(Number(points))) view.notice(`${signed(Number(points))} not accepted: too many are waiting`);
	actions[action]?.();
	view.changed();
});

document.addEventListener("submit", (event) => {
	event.preventDefault();
	view.help("name-help", playAsGuest(new FormData(event.target).get("name")));
});

addEventListener("hashchange", takeToken);
/** Where a sleep, a pocket or another network may have ended: the connection may be dead without a sign. */
for (const woken of ["online", "focus", "pageshow"]) addEventListener(woken, () => connection.check());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && connection.check());

/** For demonstrating faults. */
window.leaderboard = { drop: () => connection.drop() };

takeToken();
if (isId(sessionId)) {
	view.invite(here(sessionId === DEFAULT_SESSION ? "." : `?session=${sessionId}`).href);
	firstSeat();
	connection.open();
} else {
	view.without("main > *, button, .session, .extent, .present");
	view.help("fault", `There is no session ${quoted(sessionId)}. Its name has 1 to 64 of A–Z a–z 0–9 _.-`);
	view.changed();
}
