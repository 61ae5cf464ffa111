// Arrivals and departures at a readable pace. Pure: time is an argument, in ms.
//
// A few get a line with the name; further ones within a second are counted in one line.

const BY_NAME = 5; // in a window
const WINDOW = 1_000;

export class Notices {
	#since = -Infinity;
	#named = 0;
	#joined = 0;
	#left = 0;

	/** Whether this one is shown by name; otherwise it is in the summary. */
	names(joined, now) {
		this.#turn(now);
		if (this.#named < BY_NAME) {
			this.#named += 1;
			return true;
		}
		this.add(joined ? 1 : 0, joined ? 0 : 1, now);
		return false;
	}

	add(joined, left, now) {
		this.#turn(now);
		this.#joined += joined;
		this.#left += left;
	}

	/** The line that sums up this window, such as "And 12 joined · 3 left", or null. */
	summary() {
		const parts = [
			[this.#joined, "joined"],
			[this.#left, "left"],
		].flatMap(([people, what]) => (people > 0 ? [`${people.toLocaleString("en")} ${what}`] : []));
		return parts.length > 0 ? (this.#named > 0 ? "And " : "") + parts.join(" · ") : null;
	}

	/** Starts a new window when the last one is over. */
	#turn(now) {
		if (now - this.#since < WINDOW) return;
		this.#since = now;
		this.#named = this.#joined = this.#left = 0;
	}
}
