//go:build !nochdb

package embedded

import (
	"fmt"

	"github.com/ebitengine/purego"
)

// bind opens the library at path and has each function, by pointer, call the symbol of its name. It
// needs the system's dynamic linker, so a program that has it cannot be static.
func bind(path string, symbols map[string]any) error {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return fmt.Errorf("load %s: %w: the file is not a chDB library for this machine; "+
			"run: npm ci --prefix deploy/embedded", path, err)
	}
	for name, target := range symbols {
		address, err := purego.Dlsym(handle, name)
		if err != nil {
			return fmt.Errorf("load %s: it has no %s: it is another version of chDB than "+
				"deploy/embedded/package-lock.json pins; run: npm ci --prefix deploy/embedded",
				path, name)
		}
		purego.RegisterFunc(target, address)
	}
	return nil
}
