// The only writer of the DOM. State in, picture out, at most once a frame; the latest state wins.
//
// External text goes through `textContent` only. A player keeps one row element at every place;
// moves are animated from where a row is *seen* to where it now belongs (FLIP), so an interrupted
// move continues from where it was.

import { NO_BOARD, ago, changes, count, extent, pinned, share, signed, spoken } from "./board.js";
import { PENDING } from "./outbox.js";

const MOVE = { duration: 520, easing: "cubic-bezier(.2, .8, .2, 1)" }; // ms
const COUNT_UP = 600; // ms
const MARK = 2_600; // ms that a gain or a climb is shown
const NOTICE = 5_000; // ms
const NOTICES = 4; // at a time
const SPEAK_EVERY = 4_000; // ms

const root = document.documentElement;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const $ = (hook) => document.querySelector(`[data-${hook}]`);

function write(node, text) {
	if (node && node.textContent !== text) node.textContent = text;
}

const put = (hook, text) => write($(hook), text);

function element(tag, className, ...children) {
	const node = document.createElement(tag);
	node.className = className;
	node.append(...children);
	return node;
}

/** Sets `data-…` attributes, at no cost if unchanged. */
function mark(node, values) {
	for (const [name, value] of Object.entries(values)) {
		if (node.dataset[name] !== String(value)) node.dataset[name] = value;
	}
}

/** Sets custom properties likewise. */
function tune({ style }, values) {
	for (const [name, value] of Object.entries(values)) {
		if (style.getPropertyValue(`--${name}`) !== String(value)) style.setProperty(`--${name}`, value);
	}
}

/** Whether this machine can draw colour emoji. */
function drawsEmoji() {
	const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	if (!context) return true; // cannot tell
	context.font = "12px sans-serif";
	context.fillText("🦊", 0, 13);
	return context.getImageData(0, 0, 16, 16).data.some((value, i, data) => i % 4 === 0 && Math.abs(value - data[i + 2]) > 32); // red unlike blue
}

export class View {
	kind; // "player", "board" (big screen, no controls) or "embed"
	#state;
	#rows = new Map(); // userId → row
	#drawn = NO_BOARD;
	#drawnPeople;
	#seen = []; // the inputs of the drawn board
	#scheduled = false;
	#counting = new Set(); // running numbers
	#counter;
	#clock; // redraws ages and waits
	#own = { node: $("own-score"), shown: 0, score: null };
	#emoji = drawsEmoji();
	#summary;
	#toSpeak;
	#silence;

	constructor(state, kind, theme) {
		this.#state = state;
		this.kind = /^(board|embed)$/.test(kind) ? kind : "player";
		root.dataset.view = this.kind;
		root.dataset.theme = /^(dark|light)$/.test(theme) ? theme : "auto";
		if (this.kind === "board") this.without("button, form, .side");
		document.addEventListener("visibilitychange", () => this.changed());
		const dock = new ResizeObserver(([{ target }]) => tune(root, { dock: `${target.offsetHeight}px` }));
		if ($("own")) dock.observe(document.querySelector(".play"));
	}

	/** Removes parts of the page. */
	without(parts) {
		for (const node of document.querySelectorAll(parts)) node.remove();
	}

	/** The state changed: draw it with the next frame. */
	changed() {
		if (this.#scheduled) return;
		this.#scheduled = true;
		const later = document.hidden ? setTimeout : requestAnimationFrame; // a hidden page gets no frames
		later(() => {
			this.#scheduled = false;
			this.#draw();
			this.#countOn();
		});
	}

	/** Shows a notice for a while; a name in any script stands before the text. */
	notice(text, name = "", avatar = "") {
		const node = element("li", "notice");
		node.dataset.notice = "";
		if (avatar && this.#emoji) node.append(element("span", "avatar", avatar));
		if (name) node.append(element("bdi", "", name), " ");
		node.append(element("span", "told", text));
		const list = $("notices");
		list.append(node);
		while (list.childElementCount > NOTICES) list.firstElementChild.remove();
		this.#animate(node, [{ opacity: 0, transform: "translateY(8px)" }, {}], { duration: 200 });
		return this.#expire(node);
	}

	/** Shows arrivals and departures in one line, rewritten as they come. */
	summary(text) {
		if (text === null) return;
		if (this.#summary?.isConnected) {
			write(this.#summary.lastChild, text);
			this.#expire(this.#summary);
		} else {
			this.#summary = this.notice(text);
		}
	}

	/** Shows where others join: a short address, and a QR code. */
	invite(address) {
		put("join-at", address.replace(/^https?:\/\/|\/$/g, ""));
		if (this.kind === "board") $("qr").src = `api/qr?to=${encodeURIComponent(address)}`;
	}

	/** Shows next to a field or a button why something was refused. */
	help = put;

	#expire(node) {
		clearTimeout(node.expiry);
		node.expiry = setTimeout(() => node.remove(), NOTICE);
		return node;
	}

	#draw() {
		const { board, player, standing } = this.#state;
		this.#drawConnection(board);
		mark(root, { user: player?.userId ?? "" });
		if ($("own")) {
			this.#drawPeople();
			this.#drawOwn();
			if (player !== (this.#seen[1] ?? null)) this.#turn(player);
		}
		const seen = [board, player, standing];
		if (seen.every((part, i) => part === this.#seen[i])) return;
		this.#seen = seen;
		put("session", this.#state.sessionId);
		put("participants", count(board.totalParticipants));
		put("extent", extent(board));
		if (board === NO_BOARD) return;
		const whole = this.kind === "board" ? board : pinned(board, player, standing);
		if (this.#drawn !== NO_BOARD) this.#speak(spoken(this.#drawn, whole, player?.userId));
		this.#drawBoard(whole);
		this.#drawn = whole;
	}

	// -- Chrome --

	#drawConnection({ degraded }) {
		const { connection, boardAt, storage } = this.#state;
		const { state, trip, reason, retryAt, openedAt } = connection;
		mark(root, { connection: state, degraded });
		const waiting = state === "waiting";
		const until = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
		const since = Math.floor((Date.now() - openedAt) / 1000);
		put("link", { connecting: "Connecting…", live: "Live", waiting: "Offline", stopped: "Stopped" }[state]);
		put("trip", trip === null ? "" : `${trip < 10 ? trip.toFixed(1) : Math.round(trip)} ms`);
		$("strip").hidden = !reason || state === "live";
		const doing = { waiting: ` Trying again in ${until} s.`, connecting: ` Connecting… ${since} s` }[state] ?? "";
		put("strip-text", reason + doing);
		put("age", boardAt === null ? "" : ago(performance.now() - boardAt));
		put("storage", degraded ? "▲ Degraded: scores in memory only" : { memory: "In memory", redis: "In Redis" }[storage] ?? "");
		clearTimeout(this.#clock);
		const oldest = connection.pending.since;
		const due = oldest === null ? Infinity : oldest + PENDING - Date.now();
		this.#clock = setTimeout(() => this.changed(), waiting ? 250 : due > 0 ? Math.min(due, 1_000) : 1_000);
	}

	/** The pressed button may be gone with the player: focus the next control. */
	#turn(player) {
		const pressed = document.activeElement?.closest(".pick, .own");
		$("name-form").reset();
		if (pressed) $(player ? "points" : "join")?.focus({ preventScroll: true });
	}

	#drawPeople() {
		const list = $("people");
		const { people, player } = this.#state;
		if (this.#drawnPeople !== people) {
			this.#drawnPeople = people;
			list.replaceChildren(
				...people.map(({ id, username, avatar, color }) => {
					const face = element("span", "face", this.#face(element("span", "avatar"), avatar, username));
					tune(face, { color });
					const button = element("button", "", face, element("bdi", "", username));
					button.dataset.join = id;
					return button;
				}),
			);
		}
		for (const button of list.children) button.setAttribute("aria-pressed", button.dataset.join === player?.userId);
	}

	#drawOwn() {
		const { player, standing, board, connection } = this.#state;
		const own = $("own");
		const row = board.rows.find(({ userId }) => userId === player?.userId);
		const { avatar, color, username } = { ...player, ...row };
		mark(own, { user: player?.userId ?? "", rank: (player && standing.rank) ?? "", score: player ? standing.score : "" });
		document.title = player ? `${standing.rank ? `#${standing.rank} ` : ""}${username} · Leaderboard` : "Leaderboard";
		tune(own, { color: color ?? "var(--accent)" });
		put("own-name", username ?? "");
		put("own-place", standing.rank ? `${row?.tied ? "Tied " : ""}#${count(standing.rank)} of ${count(board.totalPlayers)}` : "Not ranked yet");
		this.#face($("own-avatar"), avatar, username ?? "");
		this.#countTo(this.#own, standing.score);
		const { count: waiting, points, since } = connection.pending;
		const told = connection.state !== "live" ? "will be sent" : Date.now() - since >= PENDING ? "pending" : "";
		put("pending", waiting > 0 && told ? `${signed(points)} ${told}` : "");
		put("pick-title", player ? "Switch player" : "Play as");
	}

	/** Draws an avatar, or an initial if it or its font is missing. */
	#face(node, avatar, name) {
		write(node, this.#emoji && avatar ? avatar : ([...name][0] ?? "").toUpperCase());
		return node;
	}

	#speak(text) {
		this.#toSpeak = text ?? this.#toSpeak;
		if (!this.#toSpeak || this.#silence) return;
		put("spoken", this.#toSpeak);
		this.#toSpeak = null;
		this.#silence = setTimeout(() => {
			this.#silence = null;
			this.#speak(null);
		}, SPEAK_EVERY);
	}

	// -- The board --

	#drawBoard(board) {
		const list = $("board");
		const { rows } = board;
		const first = this.#drawn === NO_BOARD;
		const shape = (shown) => shown.rows.map(({ userId, rank }, i) => (i < 3 ? `${userId} ${rank}` : userId)).join();
		const before = !first && this.#moves && shape(board) !== shape(this.#drawn) ? this.#places() : null;

		$("empty").hidden = rows.length > 0;
		put("empty-text", this.#invitation());
		const columns = Math.min(4, Math.ceil((rows.length + 3) / 12)); // on the big screen
		tune(list, { span: 12 / columns, lines: Math.ceil((rows.length - 3) / columns) });
		mark(list, { long: columns > 1 });

		const kept = new Set(rows.map(({ userId }) => userId));
		for (const [userId, row] of this.#rows) {
			if (kept.has(userId)) continue;
			row.node.remove();
			this.#rows.delete(userId);
			this.#counting.delete(row.number);
		}
		const changed = changes(this.#drawn, board);
		let next = list.firstElementChild;
		rows.forEach((entry, index) => {
			let row = this.#rows.get(entry.userId);
			if (!row) this.#rows.set(entry.userId, (row = this.#newRow(entry, first)));
			if (row.node === next) next = next.nextElementSibling;
			else list.insertBefore(row.node, next);
			this.#drawRow(row, entry, index, share(entry.score, rows[0].score));
			row.node.classList.toggle("step", index < 3 && !entry.pinned);
			const change = changed.get(entry.userId);
			if (change) this.#markRow(row, change);
		});
		if (before) this.#glide(before);
	}

	#invitation() {
		const { player } = this.#state;
		if (this.kind === "player" && !player) return "No scores yet. Pick a player to start.";
		return player && this.kind !== "board" ? "Score the first points" : "Waiting for the first points";
	}

	get #moves() {
		return !still.matches && !document.hidden;
	}

	#newRow({ userId, score }, first) {
		const [rank, tie, tied, avatar, presence, tag, climb, gain, points] =
			["number", "tie", "sr", "avatar", "sr", "tag", "climb", "gain", "score"].map((part) => element("span", part));
		const name = element("bdi", "name");
		name.dir = "auto";
		tie.append("=");
		tied.append("tied ");
		tie.ariaHidden = climb.ariaHidden = gain.ariaHidden = "true";
		const node = element(
			"li",
			"row",
			element("span", "rank", tie, tied, rank),
			element("span", "face", avatar, element("span", "dot"), presence),
			element("span", "who", name, tag, element("span", "you", "you")),
			element("span", "marks", climb, gain),
			points,
		);
		node.dataset.user = userId;
		const number = { node: points, shown: first ? score : 0, score: null };
		if (!first) this.#animate(node, [{ opacity: 0 }, {}], { duration: 300 });
		return { node, rank, tie, tied, avatar, name, tag, climb, gain, presence, number, gained: 0, climbed: 0 };
	}

	#drawRow(row, entry, index, part) {
		const { node } = row;
		const { userId, username, tag, avatar, color, score, rank, tied, isConnected } = entry;
		const place = index + 1;
		mark(node, { rank, score, place, connected: isConnected, self: userId === this.#state.player?.userId });
		tune(node, { place, color, share: `${(100 * part).toFixed(1)}%` });
		row.tie.hidden = row.tied.hidden = !tied;
		write(row.rank, count(rank));
		write(row.name, username);
		write(row.tag, tag);
		write(row.presence, isConnected ? "connected" : "away");
		this.#face(row.avatar, avatar, username);
		this.#countTo(row.number, score);
	}

	/** Shows what a row gained and climbed; rapid changes add up. */
	#markRow(row, { gain, climb }) {
		row.gained += gain;
		row.climbed += climb;
		write(row.gain, row.gained ? signed(row.gained) : "");
		write(row.climb, row.climbed ? `${row.climbed > 0 ? "▲" : "▼"}${Math.abs(row.climbed)}` : "");
		mark(row.climb, { up: row.climbed > 0 });
		mark(row.node, { marked: true });
		clearTimeout(row.unmark);
		row.unmark = setTimeout(() => {
			mark(row.node, { marked: false });
			row.gained = row.climbed = 0;
		}, MARK);
	}

	/** The scores were set: sums of gains start from 0. */
	resetGains() {
		for (const row of this.#rows.values()) row.gained = row.climbed = 0;
	}

	// -- Motion --

	/** Where each row is seen: its place, and the rest of a running move. */
	#places() {
		const places = new Map();
		for (const row of this.#rows.values()) {
			const { e: x, f: y } = new DOMMatrix(getComputedStyle(row.node).transform);
			places.set(row, { ...this.#home(row.node), x, y });
		}
		return places;
	}

	#home({ offsetLeft, offsetTop, offsetWidth, offsetHeight }) {
		return { left: offsetLeft + offsetWidth / 2, top: offsetTop + offsetHeight / 2 };
	}

	#glide(before) {
		const moves = [...before].map(([row, was]) => ({ row, was, home: this.#home(row.node) }));
		const low = -$("board").getBoundingClientRect().top;
		const inWindow = (y) => Math.abs(y - low - innerHeight / 2) < innerHeight / 2 + 99;
		for (const { row, was, home } of moves) {
			const [left, top] = [was.left - home.left, was.top - home.top];
			if (!row.node.isConnected || (Math.abs(left) < 1 && Math.abs(top) < 1)) continue;
			row.move?.cancel();
			if (!inWindow(home.top) && !inWindow(was.top + was.y)) continue; // skip rows out of sight
			const from = `translate(${left + was.x}px, ${top + was.y}px)`;
			mark(row.node, { rising: top > 0 }); // climbing rows pass in front
			row.move = this.#animate(row.node, [{ transform: from }, { transform: "none" }], MOVE);
		}
	}

	#animate(node, frames, options) {
		return this.#moves ? node.animate(frames, { easing: "ease-out", ...options }) : null;
	}

	/** Runs a number from its current value to its score. */
	#countTo(number, score) {
		if (number.score === score) return;
		Object.assign(number, { score, from: number.shown, since: performance.now() });
		tune(number.node, { digits: count(score).length }); // a long number gets smaller type
		this.#counting.add(number);
	}

	/** Advances the running numbers, now and with each frame. */
	#countOn() {
		for (const number of this.#counting) {
			const { node, score, from, since } = number;
			const left = this.#moves ? Math.max(0, 1 - (performance.now() - since) / COUNT_UP) : 0;
			number.shown = score - (score - from) * left ** 3;
			write(node, count(Math.round(number.shown)));
			if (left === 0) this.#counting.delete(number);
		}
		cancelAnimationFrame(this.#counter);
		if (this.#counting.size > 0) this.#counter = requestAnimationFrame(() => this.#countOn());
	}
}
