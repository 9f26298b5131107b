package v2

import (
	"os"
	"path/filepath"
)

// noLink does without a link to a folder that no shim reads: Wine has no symbolic links.
func noLink(_, _ string) error { return nil }

// removeEach removes a folder file by file. Go has one call for that, which Wine does not know.
// As with that call, a file that a process has open stays, and is an error.
func removeEach(folder string) error {
	var paths []string
	err := filepath.Walk(folder, func(path string, _ os.FileInfo, err error) error {
		paths = append(paths, path)
		return err
	})
	for last := len(paths) - 1; err == nil && last >= 0; last-- {
		err = os.Remove(paths[last])
	}
	return err
}
