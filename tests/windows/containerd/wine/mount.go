package mount

import (
	"errors"

	"golang.org/x/sys/windows"
)

// unbound says of a missing library for bindings of files that there is no binding.
func unbound(err error) error {
	if errors.Is(err, windows.ERROR_MOD_NOT_FOUND) {
		return windows.ERROR_NOT_FOUND
	}
	return err
}
