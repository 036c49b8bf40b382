package decode

// CommonMax is commonMax.
const CommonMax = commonMax

// Remembered is how many parts of records are remembered.
func (d *Reader) Remembered() int {
	return len(d.plain.common.rests) + len(d.plain.common.libraries)
}
