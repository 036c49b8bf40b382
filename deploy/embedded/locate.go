package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// LibraryVariable names the environment variable with the path of the chDB library.
const LibraryVariable = "TOLLSTREAM_CHDB_LIB"

// The lock file pins the package of one platform, because npm refuses a lock file with packages of
// several when it cannot resolve them all. The others are installed into the cache folder.
const (
	pinnedPlatform = "linux/amd64"
	libraryVersion = "26.7.3-stable.1"
)

// parentsMax bounds the walk from the working folder upwards; a checkout is never deeper.
const parentsMax = 12

// LocateLibrary returns the path of libchdb. It takes the explicit path if one is given, then
// LibraryVariable, then the npm package below deploy/embedded of this project, seen from the
// working folder and from the executable, then the user's cache folder.
func LocateLibrary(explicit string) (string, error) {
	if explicit != "" {
		return namedLibrary(explicit, "the library setting")
	}
	if path := os.Getenv(LibraryVariable); path != "" {
		return namedLibrary(path, LibraryVariable)
	}
	for _, path := range libraryPlaces() {
		if isFile(path) {
			return path, nil
		}
	}
	if npmPackage() == "" {
		return "", fmt.Errorf("the chDB library is missing and there is none on npm for %s/%s: "+
			"set %s to the path of a libchdb.so", runtime.GOOS, runtime.GOARCH, LibraryVariable)
	}
	if runtime.GOOS+"/"+runtime.GOARCH != pinnedPlatform {
		return "", fmt.Errorf("the chDB library is missing: run: npm install --prefix %s %s@%s",
			cacheFolder(), npmPackage(), libraryVersion)
	}
	return "", fmt.Errorf("the chDB library is missing (npm package %s): "+
		"run: npm ci --prefix deploy/embedded", npmPackage())
}

// namedLibrary never falls back: who names a file wants that file or an error.
func namedLibrary(path, source string) (string, error) {
	if isFile(path) {
		return path, nil
	}
	return "", fmt.Errorf("%s names %s, which is not a file: correct it, or remove it and "+
		"run: npm ci --prefix deploy/embedded", source, path)
}

// npmPackage is the package with the library for this platform, or empty.
func npmPackage() string {
	switch runtime.GOOS + "/" + runtime.GOARCH {
	case "linux/amd64":
		return "@chdb/lib-linux-x64-gnu"
	case "linux/arm64":
		return "@chdb/lib-linux-arm64-gnu"
	case "darwin/arm64":
		return "@chdb/lib-darwin-arm64"
	case "darwin/amd64":
		return "@chdb/lib-darwin-x64"
	}
	return ""
}

func libraryPlaces() []string {
	var places []string
	inPackage := func(root string) {
		if npmPackage() == "" {
			return
		}
		folder := filepath.Join(root, "node_modules", filepath.FromSlash(npmPackage()))
		places = append(places, filepath.Join(folder, "libchdb.so"),
			filepath.Join(folder, "libchdb.dylib"))
	}
	upwards := func(start string) {
		for range parentsMax {
			inPackage(filepath.Join(start, "deploy", "embedded"))
			parent := filepath.Dir(start)
			if parent == start {
				return
			}
			start = parent
		}
	}
	if folder, err := os.Getwd(); err == nil {
		upwards(folder)
	}
	if path, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			path = resolved
		}
		places = append(places, filepath.Join(filepath.Dir(path), "libchdb.so"))
		upwards(filepath.Dir(path))
	}
	if cache := cacheFolder(); cache != "" {
		places = append(places, filepath.Join(cache, "libchdb.so"))
		inPackage(cache)
	}
	if home, err := os.UserHomeDir(); err == nil {
		data := os.Getenv("XDG_DATA_HOME")
		if data == "" {
			data = filepath.Join(home, ".local", "share")
		}
		places = append(places, filepath.Join(data, "tollstream", "libchdb.so"))
	}
	return places
}

func cacheFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "tollstream")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
