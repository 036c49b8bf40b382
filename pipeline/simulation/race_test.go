//go:build race

package simulation

// slowdown is about how much longer a world takes under the race detector.
const slowdown = 10
