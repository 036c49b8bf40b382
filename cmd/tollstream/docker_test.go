package main

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var instruction = regexp.MustCompile(`(?m)^([A-Z]+) (.*)$`)

// dockerfile finds what is wrong with the text of a Dockerfile, as far as that can be told without
// Docker.
func dockerfile(text string) faults {
	var f faults
	var bases []string
	last := map[string]string{} // of each instruction, the last one
	for _, m := range instruction.FindAllStringSubmatch(text, -1) {
		if last[m[1]] = m[2]; m[1] == "FROM" {
			bases = append(bases, m[2])
		}
	}
	goVersion := f.match("go.mod", `(?m)^go (\d+\.\d+)\.`)
	if len(bases) != 2 || !strings.HasPrefix(bases[0], "golang:"+goVersion+".") ||
		!regexp.MustCompile(`^gcr.io/distroless/static-debian\d+:nonroot$`).MatchString(bases[1]) {
		f.add("it is not built by Go %s into a static image without a shell: %s", goVersion, bases)
	}
	if last["USER"] != "65532:65532" {
		f.add("the user %q is not a number that is not root's", last["USER"])
	}
	for _, label := range []string{"title", "description", "version", "revision"} {
		if !strings.Contains(text, "org.opencontainers.image."+label+"=") {
			f.add("no label says its %s", label)
		}
	}
	_, health, _ := strings.Cut(last["HEALTHCHECK"], "CMD ")
	for name, list := range map[string]string{"ENTRYPOINT": last["ENTRYPOINT"], "CMD": last["CMD"],
		"HEALTHCHECK": health} {
		var line []string
		if err := json.Unmarshal([]byte(list), &line); err != nil {
			f.add("%s needs a shell, or is not there: %v", name, err)
			continue
		}
		if name != "CMD" {
			line = line[1:]
		}
		_, _, err := readProgram(line, []string{"TOLLSTREAM_SETTLE__FIRST_CLOSING=2026-11-01"})
		if name != "ENTRYPOINT" && err != nil {
			f.add("%s: %v", name, err)
		}
	}
	return f
}

// TestDockerfile: the image is what its comments say, and each mistake would be noticed.
func TestDockerfile(t *testing.T) {
	var f faults
	text := f.file("deploy/docker/Dockerfile")
	for _, fault := range append(f, dockerfile(text)...) {
		t.Error(fault)
	}
	noticed(t, text, []mistake{
		{"FROM golang:1.26.8", "FROM golang:1.22.0", "not built by Go"},
		{"FROM gcr.io/distroless/static-debian13:nonroot", "FROM alpine:3.22", "without a shell"},
		{"USER 65532:65532", "USER nonroot", "the user"},
		{"image.revision=", "image.commit=", "revision"},
		{`CMD ["/tollstream", "ready"]`, `CMD tollstream ready`, "needs a shell"},
		{`CMD ["/tollstream", "ready"]`, `CMD ["/tollstream", "health"]`, "health"},
		{`CMD ["run"]`, `CMD ["serve"]`, "serve"},
	}, dockerfile)
}

// TestDockerProgram builds as the Dockerfile does: the program has to run where there is no dynamic
// linker, and says why it cannot be a demo there.
func TestDockerProgram(t *testing.T) {
	var f faults
	flags := f.match("deploy/docker/Dockerfile", `CGO_ENABLED=0 go build (.*) -o /tollstream`)
	program := filepath.Join(t.TempDir(), "tollstream")
	build := exec.Command("go", append(append([]string{"build"}, strings.Fields(flags)...), "-o",
		program, ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the image's program wants a dynamic linker, and the image has none")
		}
	}
	out, err := exec.Command(program, "embedded", "--embedded.data_dir", t.TempDir(),
		"--embedded.library", program, "--embedded.kafka_listen", "127.0.0.1:0",
		"--embedded.clickhouse_listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "built with the tag nochdb") {
		t.Errorf("%v: %s", err, out)
	}
	for _, fault := range f {
		t.Error(fault)
	}
}

// TestDockerContext: .dockerignore lets in every folder that the program is built from.
func TestDockerContext(t *testing.T) {
	var f faults
	list := f.file(".dockerignore")
	out, err := exec.Command("go", "list", "-deps", "-f",
		"{{if .Module}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range strings.Fields(string(out)) {
		path, err := filepath.Rel(root, folder)
		if err != nil {
			t.Fatal(err)
		}
		let := false
		for line := range strings.Lines(list) {
			entry, in := strings.CutPrefix(strings.TrimSpace(line), "!")
			let = let || in && (path == entry || strings.HasPrefix(path, entry+"/"))
		}
		if !let {
			t.Errorf("%s is kept from the image's build", path)
		}
	}
	for _, fault := range f {
		t.Error(fault)
	}
}
