// One logical connection to the service over successive sockets.
//
// Promises: the seat (playing as a user, or watching) is restored after each reconnect; points stay
// in the outbox until they are answered, also over a reload; close codes decide whether and when to retry;
// after `check`, or points that stay unanswered for a second, a connection that died in silence is
// replaced within a second, or three if its round trips were long.
// Events: "state" · "message" {type, data} · "refused" {message, and of a seat code}.
// States: stopped until `open`, then connecting → live → waiting → connecting …, or stopped until `retryNow`.

import { Outbox, PENDING } from "./outbox.js";
import { decode, join, newOpId, ping, score, watch } from "./protocol.js";
import { afterClose } from "./retry.js";

const FIRST_PING = 300; // ms after the first board, once the page is idle
const PING_EVERY = 3_000; // ms
const SILENT_PINGS = 3; // without any frame: the connection is dead; a first try to connect gets fewer
const SLEPT = 3 * PING_EVERY; // ms between two beats: the machine slept
const CHECKED = 700; // ms until a checked connection must have said something …
const CHECKED_SLOW = 3_000; // … or three round trips, up to this
const STABLE = 5_000; // ms live, after which tries count from 0
const CUT = 1006; // the browser's code for a close without a close frame
const FINAL_ERRORS = new Set(["session-full", "taken", "removed", "limit", "bad-message"]); // for a join

export class Connection extends EventTarget {
	state = "stopped";
	reason = ""; // why it waits or stopped
	retryAt = null; // ms on the clock of performance.now()
	trip = null; // ms, of the last ping
	openedAt; // when it last began to connect, in ms on the clock of the day, which goes on while the machine sleeps
	#url;
	#sessionId;
	#secret; // where players are locked, only who has it may play as a user who was played with it
	#player = null; // {userId, username?} or null while watching
	#seated = false;
	#seatSentAt = -Infinity;
	#outbox;
	#kept;
	#socket;
	#tries = 0;
	#liveSince = null;
	#silent = 0;
	#beatAt;
	#heartbeat;
	#checkTimer = null;
	#retryNotBefore;
	#retryTimer;
	#flushTimer;

	/** `kept` has `get(name)` and `set(name, value)`, which outlive a reload. */
	constructor(url, sessionId, secret, kept) {
		super();
		this.#kept = kept;
		this.#outbox = new Outbox(kept.get(`outbox:${sessionId}`));
		this.#url = url;
		this.#sessionId = sessionId;
		this.#secret = secret;
	}

	/** Connects; call once, after the first seat is chosen. */
	open() {
		clearTimeout(this.#retryTimer);
		clearInterval(this.#heartbeat);
		this.openedAt = this.#beatAt = Date.now();
		this.#enter("connecting");
		const socket = new WebSocket(this.#url);
		this.#socket = socket;
		this.#seated = false;
		this.#silent = 0;
		socket.onopen = () => this.#takeSeat();
		socket.onmessage = ({ data }) => this.#receive(data);
		socket.onclose = ({ code }) => this.#lost(code);
		this.#heartbeat = setInterval(() => this.#beat(), PING_EVERY);
	}

	/** Plays as a user from now on, also after reconnects. */
	play(userId, username) {
		this.#player = { userId, username };
		this.#takeSeat();
	}

	/** Only watches from now on; the player leaves. */
	watch() {
		this.#player = null;
		this.#takeSeat();
	}

	/** Scores for the current player, now or once connected; false if the outbox is full. */
	score(points) {
		const opId = newOpId();
		if (!this.#player || !this.#outbox.add(opId, this.#player.userId, points, Date.now())) return false;
		this.#flush();
		setTimeout(() => this.state === "live" && this.#outbox.has(opId) && this.check(), PENDING);
		return true;
	}

	/** The current player's points without an answer yet: `{count, points, since}`. */
	get pending() {
		return this.#outbox.pending(this.#player?.userId);
	}

	/** Ends a wait, a stop or an attempt that takes too long, and connects. */
	retryNow() {
		this.#lost(CUT);
		this.open();
	}

	/** After a sleep: asks whether the other end is still there, and replaces a connection that does not answer. */
	check() {
		if (this.state === "waiting") return this.#retryBy(this.#retryNotBefore);
		if (this.state === "stopped" || this.#checkTimer !== null) return;
		this.#send(ping(performance.now()));
		const patience = Math.min(CHECKED_SLOW, Math.max(CHECKED, 3 * this.trip));
		const left = this.state === "live" ? patience : this.openedAt + CHECKED_SLOW - Date.now();
		this.#checkTimer = setTimeout(() => this.retryNow(), left);
	}

	/** Loses the connection and what is in flight, as if a cable were pulled. */
	drop() {
		this.#lost(CUT);
	}

	#receive(frame) {
		this.#silent = 0;
		this.#checked();
		const message = decode(frame);
		if (!message) return;
		const { type, data } = message;
		if (type === "leaderboard-update" && this.state === "connecting") {
			this.#liveSince = performance.now();
			this.#enter("live");
			setTimeout(() => this.#send(ping(performance.now())), FIRST_PING);
		}
		if (type === "pong" && Number.isFinite(data.t)) this.trip = performance.now() - data.t;
		if (type === "user-rank-update") this.#answered(data);
		if (type === "error") this.#failed(data);
		this.#emit("message", message);
	}

	#answered({ userId, opId }) {
		if (opId) this.#outbox.take(opId);
		if (userId === this.#player?.userId) this.#seated = true;
		this.#flush();
	}

	#failed({ code, message, opId, retryAfter }) {
		const now = Date.now();
		if (code === "rate-limited" || Number.isFinite(retryAfter)) {
			const wait = Number.isFinite(retryAfter) ? Math.max(50, 1000 * retryAfter) : 1_000;
			if (code !== "rate-limited") this.#emit("refused", { message }); // for a while
			if (opId) this.#outbox.postpone(opId, now + wait, code === "rate-limited" ? wait : 0);
			// The error does not name the frame. If it may have been the seat, taking it again is harmless.
			else if (performance.now() - this.#seatSentAt < STABLE) setTimeout(() => this.#takeSeat(), wait);
		} else if (code === "not-joined" && opId && this.#player) {
			this.#outbox.postpone(opId, now);
			if (this.#seated) this.#takeSeat();
		} else if (opId) {
			if (this.#outbox.take(opId)) this.#emit("refused", { message });
		} else if (this.#player && (code === "removed" || (!this.#seated && FINAL_ERRORS.has(code)))) {
			this.#emit("refused", { code, message, seat: true });
		}
		this.#flush();
	}

	#takeSeat() {
		this.#seated = false;
		this.#seatSentAt = performance.now();
		const { userId, username } = this.#player ?? {};
		this.#send(this.#player ? join(this.#sessionId, userId, username, this.#secret) : watch(this.#sessionId));
	}

	/** Sends what is due, and keeps what is unanswered. */
	#flush() {
		this.#sendDue();
		this.#kept.set(`outbox:${this.#sessionId}`, this.#outbox.content);
	}

	/** Only from a confirmed seat, to avoid `not-joined`. */
	#sendDue() {
		if (!this.#seated || !this.#player) return;
		const now = Date.now();
		const given = this.#outbox.abandon(now);
		if (given.length > 0) this.#emit("refused", { message: `${given.length} scores could not be confirmed.` });
		for (const { points, opId } of this.#outbox.due(this.#player.userId, now)) this.#send(score(points, opId));
		const wakeAt = this.#outbox.wakeAt(now);
		clearTimeout(this.#flushTimer);
		if (wakeAt !== null) this.#flushTimer = setTimeout(() => this.#flush(), wakeAt - now + 1);
	}

	#send(message) {
		if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
	}

	/** Counts beats, not seconds: a tab that slept must not mistake its sleep for silence. */
	#beat() {
		const slept = Date.now() - this.#beatAt > SLEPT;
		this.#beatAt = Date.now();
		if (slept) return this.check(); // with the page in sight: no event tells it
		this.#silent += 1;
		const most = this.state === "live" ? SILENT_PINGS : Math.max(1, Math.min(SILENT_PINGS, this.#tries));
		if (this.#silent > most) this.#lost(CUT);
		else this.#send(ping(performance.now()));
	}

	#checked() {
		clearTimeout(this.#checkTimer);
		this.#checkTimer = null;
	}

	#lost(code) {
		if (!this.#socket) return;
		this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
		this.#socket.close();
		this.#socket = null;
		clearInterval(this.#heartbeat);
		clearTimeout(this.#flushTimer);
		this.#checked();
		this.#seated = false;
		this.trip = null;
		this.#outbox.cut();
		const now = performance.now();
		if (this.#liveSince !== null && now - this.#liveSince > STABLE) this.#tries = 0;
		this.#liveSince = null;
		const { delay, least, says } = afterClose(code, this.#tries, Math.random());
		this.#tries += 1;
		this.reason = says;
		if (delay === null) return this.#enter("stopped");
		this.#retryNotBefore = now + least;
		this.#retryBy(now + delay);
	}

	/** Waits to reconnect, until a time on the clock of performance.now(). */
	#retryBy(time) {
		clearTimeout(this.#retryTimer);
		this.#retryTimer = setTimeout(() => this.open(), time - performance.now());
		this.#enter("waiting", time);
	}

	#enter(state, retryAt = null) {
		this.state = state;
		this.retryAt = retryAt;
		this.#emit("state");
	}

	#emit(name, detail = null) {
		this.dispatchEvent(new CustomEvent(name, { detail }));
	}
}
