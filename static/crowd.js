// Who came and who went, at a pace that can be read. Pure: time comes in as an argument, in ms.
//
// A few are told by name; when more come within a second, the rest is one line that counts.

const BY_NAME = 5; // in a window
const WINDOW = 1_000;

export class Crowd {
	#since = -Infinity;
	#named = 0;
	#joined = 0;
	#left = 0;

	/** Whether this coming or going is told by name; otherwise it went into the summary. */
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

	/** Starts a new window; while a crowd keeps coming, its line keeps counting. */
	#turn(now) {
		if (now - this.#since < WINDOW) return;
		this.#since = now;
		this.#named = this.#joined = this.#left = 0;
	}
}
