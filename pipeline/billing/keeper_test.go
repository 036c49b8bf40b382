package billing

import (
	"strings"
	"testing"
)

// TestKeeperKeepsTexts: kept texts stay what they were, across blocks, and are no part of what was
// given.
func TestKeeperKeepsTexts(t *testing.T) {
	var k Keeper
	var kept, want []string
	buffer := make([]byte, 0, keeperBlock*2)
	for i := range 5000 {
		text := strings.Repeat(string(rune('a'+i%26)), i*7919%100)
		if i == 2000 {
			text = strings.Repeat("x", keeperBlock+1)
		}
		buffer = append(buffer[:0], text...)
		kept, want = append(kept, k.Keep(string(buffer))), append(want, text)
	}
	for i := range want {
		if kept[i] != want[i] {
			t.Fatalf("text %d is %q, not %q", i, kept[i], want[i])
		}
	}
	if n := testing.AllocsPerRun(100, func() { k.Keep("1300000000") }); n != 0 {
		t.Errorf("%v allocations to keep an id, want those of blocks alone", n)
	}
}
