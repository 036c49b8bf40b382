//go:build unix && !linux

package child

import "syscall"

// attributes: here a child learns of this process's death only by its stdin, which closes then.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
