package winio

import "golang.org/x/sys/windows"

// visit takes the place that Wine gives a pipe's first client: at a handle that nobody reads.
func visit(path string) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return
	}
	visitor, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err == nil {
		_ = windows.CloseHandle(visitor)
	}
}
