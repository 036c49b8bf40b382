package chaos

import "golang.org/x/sys/unix"

// fullDisk has every write by which a running process would make a file longer fail (EFBIG), or
// lets them succeed again. It is the limit on the size of files (RLIMIT_FSIZE), not a full disk
// (ENOSPC): that needs a file system of its own, and root. Both come back from the same write, and
// the broker does not tell them apart; what differs is that directories and renames still work.
func fullDisk(pid int, full bool) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if full {
		limit.Cur = 0
	}
	return unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil)
}
