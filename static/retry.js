// When to reconnect. Pure: tries, close code and chance are arguments.
//
// Full jitter below a ceiling that doubles with each try, so a thousand pages do not return at once.

export const FLOOR = 500; // ms
export const CEILING = 10_000;

/** Per close code: no retry, or the minimum and the first maximum wait (ms). */
const POLICY = new Map([
	[4400, { retry: false, says: "The service refused what this page sent." }],
	[4403, { retry: false, says: "This page is not allowed to connect here." }],
	[4429, { floor: 5_000, says: "Too many messages; taking a break." }],
	[4503, { ceiling: 4_000, says: "The service is full." }],
	[1001, { ceiling: 2_000, says: "The service is stopping." }],
	[1012, { ceiling: 2_000, says: "The service is restarting." }],
]);

/** The wait in ms after `tries` failed tries; `chance` is in [0, 1). */
export function backoff(tries, chance, floor = FLOOR, ceiling = 2 * FLOOR) {
	const highest = Math.min(CEILING, ceiling * 2 ** Math.min(tries, 10));
	return floor + chance * Math.max(0, highest - floor);
}

/** What follows a close: `{delay, least, says}`; `delay` in ms, or null if the code forbids a retry; it is never below `least`. */
export function afterClose(code, tries, chance) {
	const { retry = true, floor = FLOOR, ceiling = 2 * floor, says = "Connection lost." } = POLICY.get(code) ?? {};
	return { delay: retry ? backoff(tries, chance, floor, ceiling) : null, least: floor, says };
}
