package billing

import "strings"

// Keeper keeps copies of many texts together. The garbage collector looks at each text that was
// made by itself; of those that a Keeper has it looks at the few blocks in which they are. A block
// stays as long as one of its texts is used.
type Keeper struct {
	block *strings.Builder
}

// keeperBlock is how many bytes of texts are kept together.
const keeperBlock = 64 << 10

// Keep gives a copy of a text.
func (k *Keeper) Keep(s string) string {
	if k.block == nil || k.block.Len()+len(s) > k.block.Cap() {
		k.block = &strings.Builder{} // its texts stay where they are, since it never grows
		k.block.Grow(max(keeperBlock, len(s)))
	}
	from := k.block.Len()
	k.block.WriteString(s)
	return k.block.String()[from:]
}
