// Points that nobody has confirmed yet. Pure: time comes in as an argument, in milliseconds.
//
// The law of this file: a score keeps its `opId` from the click to the answer, so it may be sent any
// number of times and counts once. It leaves answered, refused, or abandoned, when the service may
// have forgotten the id of something it perhaps received.

const WINDOW = 10; // unanswered at a time, against the rate limit
const CAPACITY = 200;
const REMEMBERED = 270_000; // the service remembers an opId for 5 minutes at least; stay below

export class Outbox {
	#scores = new Map(); // by opId
	#heldUntil = 0;

	/** Takes points of a user; false when too many wait already. */
	add(opId, userId, points) {
		if (this.#scores.size >= CAPACITY) return false;
		this.#scores.set(opId, { opId, userId, points, sentFirst: null, inFlight: false });
		return true;
	}

	/** The scores of this user to send now, oldest first; from here on they are in flight. */
	due(userId, now) {
		if (now < this.#heldUntil) return [];
		const own = this.#of(userId);
		const room = WINDOW - own.filter((score) => score.inFlight).length;
		const due = own.filter((score) => !score.inFlight).slice(0, Math.max(0, room));
		for (const score of due) {
			score.inFlight = true;
			score.sentFirst ??= now;
		}
		return due;
	}

	/** An answer or a final refusal came. Returns the score, or undefined when it was done before. */
	settle(opId) {
		const score = this.#scores.get(opId);
		this.#scores.delete(opId);
		return score;
	}

	/** The service asked for patience: this score goes again, and nothing goes before `until`. */
	postpone(opId, until) {
		const score = this.#scores.get(opId);
		if (!score) return;
		score.inFlight = false;
		this.#heldUntil = Math.max(this.#heldUntil, until);
	}

	/** The connection is gone: everything unanswered goes again. */
	cut() {
		for (const score of this.#scores.values()) score.inFlight = false;
	}

	/** Takes out what was sent so long ago that a repeat could count twice. */
	abandon(now) {
		const old = [...this.#scores.values()].filter(
			(score) => !score.inFlight && score.sentFirst !== null && now - score.sentFirst > REMEMBERED,
		);
		for (const score of old) this.#scores.delete(score.opId);
		return old;
	}

	/** When something held back may go (ms), or null when nothing is held back. */
	wakeAt(now) {
		const waits = [...this.#scores.values()].some((score) => !score.inFlight);
		return waits && now < this.#heldUntil ? this.#heldUntil : null;
	}

	/** What of this user is still on its way: `{count, points}`. */
	pending(userId) {
		const own = this.#of(userId);
		return { count: own.length, points: own.reduce((sum, score) => sum + score.points, 0) };
	}

	#of(userId) {
		return [...this.#scores.values()].filter((score) => score.userId === userId);
	}
}
