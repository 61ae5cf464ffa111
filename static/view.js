// The only writer of the DOM. State in, picture out, at most once a frame; the latest state wins.
//
// Text from outside goes through `textContent` alone. A player keeps one row element wherever it
// stands; moves are animated from where a row is *seen* to where it now belongs (FLIP), so an
// interrupted move goes on from the middle of its way.

import { NO_BOARD, changes, count, extent, share, signed, spoken } from "./board.js";

const MOVE = { duration: 520, easing: "cubic-bezier(.2, .8, .2, 1)" }; // ms
const COUNT_UP = 600; // ms
const MARK = 2_600; // ms that a gain or a climb can be read
const NOTICE = 5_000; // ms
const NOTICES = 4; // at a time
const SPEAK_EVERY = 4_000; // ms

const root = document.documentElement;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const $ = (hook) => document.querySelector(`[data-${hook}]`);

function write(node, text) {
	if (node && node.textContent !== text) node.textContent = text;
}

function element(tag, className, ...children) {
	const node = document.createElement(tag);
	node.className = className;
	node.append(...children);
	return node;
}

/** Sets a `data-…` attribute, at no cost when it is unchanged. */
function mark(node, name, value) {
	const text = String(value);
	if (node.dataset[name] !== text) node.dataset[name] = text;
}

/** Puts a child into place; without ending its transitions, where the browser can. */
function place(parent, node, before) {
	if (parent.moveBefore && node.parentNode === parent) parent.moveBefore(node, before);
	else parent.insertBefore(node, before);
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
	#drawnPeople = null;
	#drawnPlayer = null;
	#scheduled = false;
	#counting = new Set(); // things with a number that is on its way
	#marked = new Set(); // rows with a gain or a climb to take away again
	#sweeper = null;
	#countdown = null;
	#own = { node: $("own-score"), shown: 0, score: null };
	#emoji = drawsEmoji();
	#summary = null;
	#expiries = new WeakMap(); // notice → timer
	#toSpeak = null;
	#silence = null;

	constructor(state, kind, theme) {
		this.#state = state;
		this.kind = /^(board|embed)$/.test(kind) ? kind : "player";
		root.dataset.view = this.kind;
		root.dataset.theme = /^(dark|light)$/.test(theme) ? theme : "auto";
		if (this.kind === "board") this.without("button, form, .side");
		document.addEventListener("visibilitychange", () => this.changed());
		const dock = new ResizeObserver(([{ target }]) => root.style.setProperty("--dock", `${target.offsetHeight}px`));
		if ($("own")) dock.observe(document.querySelector(".play"));
	}

	/** Takes parts of the page away for good. */
	without(parts) {
		for (const node of document.querySelectorAll(parts)) node.remove();
	}

	/** Something in the state is new: draw it with the next frame. */
	changed() {
		if (this.#scheduled) return;
		this.#scheduled = true;
		const later = document.hidden ? setTimeout : requestAnimationFrame; // a hidden page gets no frames
		later(() => {
			this.#scheduled = false;
			this.#draw();
		});
	}

	/** Tells something in passing; a name of any script stands before what is told of it. */
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

	/** Tells of a crowd in one line, rewritten while it comes. */
	summary(text) {
		if (text === null) return;
		if (this.#summary?.isConnected) {
			write(this.#summary.lastChild, text);
			this.#expire(this.#summary);
		} else {
			this.#summary = this.notice(text);
		}
	}

	/** Says beside a field or a button why something was refused. */
	help(hook, text) {
		write($(hook), text);
	}

	#expire(node) {
		clearTimeout(this.#expiries.get(node));
		const expiry = setTimeout(() => node.remove(), NOTICE);
		this.#expiries.set(node, expiry);
		return node;
	}

	#draw() {
		const { board, player } = this.#state;
		this.#drawConnection();
		mark(root, "user", player?.userId ?? "");
		if ($("own")) {
			this.#drawPeople();
			this.#drawOwn();
			if (player !== this.#drawnPlayer) this.#turn(player);
		}
		if (board === this.#drawn && player === this.#drawnPlayer) return;
		this.#drawnPlayer = player;
		const [shown, players, unit] = extent(board);
		write($("session"), this.#state.sessionId);
		write($("participants"), count(board.totalParticipants));
		write($("shown"), shown);
		write($("players"), players);
		write($("unit"), unit);
		$("degraded").hidden = !board.degraded;
		if (this.#drawn !== NO_BOARD) this.#speak(spoken(this.#drawn, board, player?.userId));
		if (board !== NO_BOARD) this.#drawBoard(board);
		this.#drawn = board;
	}

	// -- Chrome --

	#drawConnection() {
		const { connection, trip } = this.#state;
		mark(root, "connection", connection.state);
		const seconds = Math.max(0, Math.ceil(((connection.retryAt ?? 0) - performance.now()) / 1000));
		write($("link"), { connecting: "Connecting…", live: "Live", waiting: "Offline", stopped: "Stopped" }[connection.state]);
		write($("trip"), trip === null ? "" : `${trip < 10 ? trip.toFixed(1) : Math.round(trip)} ms`);
		const waiting = connection.state === "waiting";
		$("strip").hidden = !connection.reason || (!waiting && connection.state !== "stopped");
		write($("strip-text"), connection.reason + (waiting ? ` Trying again in ${seconds} s.` : ""));
		write(document.querySelector("[data-action=retry]"), waiting ? "Retry now" : "Try again");
		clearTimeout(this.#countdown);
		if (waiting) this.#countdown = setTimeout(() => this.changed(), 250);
	}

	/** What was pressed for another player may be gone: the focus goes to what comes next. */
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
					face.style.setProperty("--color", color);
					const button = element("button", "", face, element("bdi", "", username));
					button.type = "button";
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
		mark(own, "user", player?.userId ?? "");
		mark(own, "rank", (player && standing.rank) ?? "");
		mark(own, "score", player ? standing.score : "");
		document.title = player ? `${standing.rank ? `#${standing.rank} ` : ""}${username} · Leaderboard` : "Leaderboard";
		own.style.setProperty("--color", color ?? "var(--accent)");
		write($("own-name"), username ?? "");
		write($("own-place"), standing.rank ? `${row?.tied ? "Tied " : ""}#${count(standing.rank)} of ${count(board.totalPlayers)}` : "Not ranked yet");
		this.#face($("own-avatar"), avatar, username ?? "");
		this.#countTo(this.#own, standing.score);
		const { count: waiting, points } = connection.pending;
		write($("pending"), waiting > 0 && connection.state !== "live" ? `${signed(points)} will be sent` : "");
		write($("pick-title"), player ? "Switch player" : "Play as");
	}

	/** Draws an avatar, or an initial without one, or without a font for it. */
	#face(node, avatar, name) {
		write(node, this.#emoji && avatar ? avatar : ([...name][0] ?? "").toUpperCase());
		return node;
	}

	#speak(text) {
		if (text !== null) this.#toSpeak = text;
		if (this.#toSpeak === null || this.#silence) return;
		write($("spoken"), this.#toSpeak);
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
		write($("empty-text"), this.#invitation());
		const half = Math.ceil(Math.max(0, rows.length - 3) / 2); // rows of each column below the podium
		list.style.setProperty("--half", half);
		mark(list, "long", rows.length > 9);

		const kept = new Set(rows.map(({ userId }) => userId));
		for (const [userId, row] of this.#rows) {
			if (kept.has(userId)) continue;
			row.node.remove();
			this.#rows.delete(userId);
			this.#marked.delete(row);
			this.#counting.delete(row.number);
		}
		const changed = changes(this.#drawn, board);
		let next = list.firstElementChild;
		rows.forEach((entry, index) => {
			let row = this.#rows.get(entry.userId);
			if (!row) this.#rows.set(entry.userId, (row = this.#newRow(entry, first)));
			if (row.node === next) next = next.nextElementSibling;
			else place(list, row.node, next);
			this.#drawRow(row, entry, index, share(entry.score, rows[0].score));
			mark(row.node, "column", index < 3 ? 0 : index < 3 + half ? 1 : 2);
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
		const [meter, rank, tie, tied, avatar, presence, climb, gain, points] =
			["meter", "number", "tie", "sr", "avatar", "sr", "climb", "gain", "score"].map((part) => element("span", part));
		const name = element("bdi", "name");
		name.dir = "auto";
		tie.append("=");
		tied.append("tied ");
		tie.ariaHidden = climb.ariaHidden = gain.ariaHidden = "true";
		const node = element(
			"li",
			"row",
			meter,
			element("span", "rank", tie, tied, rank),
			element("span", "face", avatar, element("span", "dot"), presence),
			element("span", "who", name, element("span", "you", "you")),
			element("span", "marks", climb, gain),
			points,
		);
		node.dataset.user = userId;
		const number = { node: points, shown: first ? score : 0, score: null };
		if (!first) this.#animate(node, [{ opacity: 0 }, {}], { duration: 300 });
		return { node, meter, rank, tie, tied, avatar, name, climb, gain, presence, number, gained: 0, climbed: 0, until: 0, move: null };
	}

	#drawRow(row, entry, index, part) {
		const { node, meter } = row;
		const { userId, username, avatar, color, score, rank, tied, isConnected } = entry;
		mark(node, "rank", rank);
		mark(node, "score", score);
		mark(node, "place", index + 1);
		mark(node, "connected", isConnected);
		mark(node, "self", userId === this.#state.player?.userId);
		node.style.setProperty("--place", index + 1);
		node.style.setProperty("--color", color);
		meter.style.translate = `${(100 * (part - 1)).toFixed(2)}%`;
		row.tie.hidden = row.tied.hidden = !tied;
		write(row.rank, count(rank));
		write(row.name, username);
		write(row.presence, isConnected ? "connected" : "away");
		this.#face(row.avatar, avatar, username);
		this.#countTo(row.number, score);
	}

	/** Shows what a row gained and climbed; changes in quick succession add up. */
	#markRow(row, { gain, climb }) {
		const now = performance.now();
		if (row.until < now) row.gained = row.climbed = 0;
		row.gained += gain;
		row.climbed += climb;
		row.until = now + MARK;
		write(row.gain, row.gained ? signed(row.gained) : "");
		write(row.climb, row.climbed ? `${row.climbed > 0 ? "▲" : "▼"}${Math.abs(row.climbed)}` : "");
		mark(row.climb, "up", row.climbed > 0);
		mark(row.node, "marked", true);
		this.#marked.add(row);
		this.#sweeper ??= setInterval(() => this.#sweep(), 200);
	}

	/** The scores were set: what rows gained before is no part of a sum any more. */
	beginAnew() {
		for (const row of this.#rows.values()) row.until = 0;
	}

	#sweep() {
		const now = performance.now();
		for (const row of this.#marked) {
			if (row.until > now) continue;
			mark(row.node, "marked", false);
			this.#marked.delete(row);
		}
		if (this.#marked.size > 0) return;
		clearInterval(this.#sweeper);
		this.#sweeper = null;
	}

	// -- Motion --

	/** Where each row is seen: its place, and how far a running move still has to go. */
	#places() {
		const places = new Map();
		for (const row of this.#rows.values()) {
			const moving = row.move && row.move.playState !== "finished";
			const { e: x, f: y } = new DOMMatrix(moving ? getComputedStyle(row.node).transform : "");
			places.set(row, { ...this.#home(row.node), x, y });
		}
		return places;
	}

	#home({ offsetLeft, offsetTop, offsetWidth, offsetHeight }) {
		return { left: offsetLeft + offsetWidth / 2, top: offsetTop + offsetHeight / 2 };
	}

	#glide(before) {
		const homes = new Map([...before.keys()].map((row) => [row, this.#home(row.node)]));
		for (const [row, was] of before) {
			const home = homes.get(row);
			const [left, top] = [was.left - home.left, was.top - home.top];
			if (!row.node.isConnected || (Math.abs(left) < 1 && Math.abs(top) < 1)) continue;
			row.move?.cancel();
			const from = `translate(${left + was.x}px, ${top + was.y}px)`;
			mark(row.node, "rising", top > 0); // who climbs passes in front
			row.move = this.#animate(row.node, [{ transform: from }, { transform: "none" }], MOVE);
		}
	}

	#animate(node, frames, options) {
		return this.#moves ? node.animate(frames, { easing: "ease-out", ...options }) : null;
	}

	/** Lets a number run to its score from wherever it is. */
	#countTo(number, score) {
		if (number.score === score) return;
		number.score = score;
		number.node.style.setProperty("--digits", count(score).length); // a long number gets smaller type
		if (!this.#moves || number.shown === score) {
			number.shown = score;
			this.#counting.delete(number);
			write(number.node, count(score));
			return;
		}
		number.from = number.shown;
		number.since = performance.now();
		write(number.node, count(Math.round(number.shown)));
		if (this.#counting.size === 0) requestAnimationFrame((now) => this.#countOn(now));
		this.#counting.add(number);
	}

	#countOn(now) {
		for (const number of this.#counting) {
			const part = this.#moves ? Math.min(1, Math.max(0, (now - number.since) / COUNT_UP)) : 1;
			const eased = 1 - (1 - part) ** 3;
			number.shown = part === 1 ? number.score : number.from + (number.score - number.from) * eased;
			write(number.node, count(Math.round(number.shown)));
			if (part === 1) this.#counting.delete(number);
		}
		if (this.#counting.size > 0) requestAnimationFrame((next) => this.#countOn(next));
	}
}
