// Points without an answer. Pure: time is an argument, in ms of the day, which a reload does not reset.
//
// The rule of this file: a score keeps its `opId` from the click to the answer, so it may be sent any
// number of times and counts once. It leaves when answered or refused, or is abandoned once the
// service may have forgotten an id that it perhaps received.

const WINDOW = 10; // unanswered at a time, until a rate limit shows
const CAPACITY = 200;
export const PENDING = 1_000; // ms that an answer may take before its points are called pending
const REMEMBERED = 270_000; // the service remembers an opId for at least 5 minutes; stay below

export class Outbox {
	#scores = new Map(); // by opId
	#heldUntil = 0;
	#gap = 0; // ms from score to score after a rate limit, until all are sent

	/** Begins with what an outbox before a reload had: its `content`. */
	constructor(content) {
		for (const score of content ?? []) this.#scores.set(score.opId, { ...score, inFlight: false });
	}

	/** All points, oldest first. */
	get content() {
		return [...this.#scores.values()];
	}

	/** Whether a score is still without an answer. */
	has(opId) {
		return this.#scores.has(opId);
	}

	/** Adds points of a user; false if full. */
	add(opId, userId, points, now) {
		if (this.#scores.size >= CAPACITY) return false;
		this.#scores.set(opId, { opId, userId, points, addedAt: now, sentFirst: null, inFlight: false });
		return true;
	}

	/** The scores of this user to send now, oldest first; they are then in flight. */
	due(userId, now) {
		if (now < this.#heldUntil) return [];
		const own = this.#of(userId);
		const waiting = own.filter((score) => !score.inFlight);
		if (waiting.length === 0) this.#gap = 0;
		const room = this.#gap > 0 ? 1 : WINDOW - own.length + waiting.length;
		const due = waiting.slice(0, Math.max(0, room));
		for (const score of due) {
			score.inFlight = true;
			score.sentFirst ??= now;
		}
		this.#heldUntil = now + this.#gap;
		return due;
	}

	/** Removes an answered or refused score. Returns it, or undefined if it was gone. */
	take(opId) {
		const score = this.#scores.get(opId);
		this.#scores.delete(opId);
		return score;
	}

	/** Refused for a while: this score is sent again, and nothing before `until`; then, after a rate limit, one each `gap`. */
	postpone(opId, until, gap = 0) {
		const score = this.#scores.get(opId);
		if (!score) return;
		score.inFlight = false;
		this.#heldUntil = Math.max(this.#heldUntil, until);
		this.#gap = Math.max(this.#gap, gap);
	}

	/** Connection lost: everything unanswered is sent again. */
	cut() {
		for (const score of this.#scores.values()) score.inFlight = false;
	}

	/** Removes scores sent so long ago that a repeat could count twice. */
	abandon(now) {
		const old = this.content.filter(
			(score) => !score.inFlight && score.sentFirst !== null && now - score.sentFirst > REMEMBERED,
		);
		for (const score of old) this.#scores.delete(score.opId);
		return old;
	}

	/** When scores that are held back may go (ms), or null. */
	wakeAt(now) {
		const waits = this.content.some((score) => !score.inFlight);
		return waits && now < this.#heldUntil ? this.#heldUntil : null;
	}

	/** The unanswered points of this user: `{count, points, since}`, the last for the oldest, or null. */
	pending(userId) {
		const own = this.#of(userId);
		return { count: own.length, points: own.reduce((sum, score) => sum + score.points, 0), since: own[0]?.addedAt ?? null };
	}

	#of(userId) {
		return this.content.filter((score) => score.userId === userId);
	}
}
