package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const unitFile = "deploy/systemd/tollstream@.service"

// unitKeys are the keys that the unit has, by section, and their values where these are what keeps
// it confined or going. Several values of a key are joined by a comma.
var unitKeys = map[string]string{
	"Unit.Description": "", "Unit.Wants": "network-online.target",
	"Unit.After": "network-online.target", "Unit.StartLimitIntervalSec": "0",
	"Service.Type": "exec", "Service.ExecStart": "", "Service.EnvironmentFile": "",
	"Service.Environment": "", "Service.LoadCredential": "", "Service.Restart": "always",
	"Service.RestartSec": "", "Service.TimeoutStopSec": "", "Service.MemoryMax": "",
	"Service.TasksMax": "", "Service.DynamicUser": "yes", "Service.UMask": "0077",
	"Service.NoNewPrivileges": "yes", "Service.CapabilityBoundingSet": "<nothing>",
	"Service.ProtectSystem": "strict", "Service.ProtectHome": "yes",
	"Service.ProtectProc": "invisible", "Service.ProtectClock": "yes",
	"Service.ProtectControlGroups": "yes", "Service.ProtectHostname": "yes",
	"Service.ProtectKernelLogs": "yes", "Service.ProtectKernelModules": "yes",
	"Service.ProtectKernelTunables": "yes", "Service.PrivateDevices": "yes",
	"Service.PrivateTmp": "yes", "Service.PrivateUsers": "yes", "Service.RemoveIPC": "yes",
	"Service.LockPersonality": "yes", "Service.MemoryDenyWriteExecute": "yes",
	"Service.RestrictAddressFamilies": "AF_INET AF_INET6", "Service.RestrictNamespaces": "yes",
	"Service.RestrictRealtime": "yes", "Service.RestrictSUIDSGID": "yes",
	"Service.SystemCallArchitectures": "native",
	"Service.SystemCallFilter":        "@system-service,~@privileged @resources",
	"Service.SystemCallErrorNumber":   "EPERM", "Install.WantedBy": "multi-user.target",
}

// unit is a unit file: the values of each key, named with its section.
type unit map[string][]string

// readUnit reads the text of a unit file, and finds lines and keys that are not known.
func readUnit(text string) (unit, faults) {
	u, section := unit{}, ""
	var f faults
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, is := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case !is:
			f.add("%q is no setting", line)
		default:
			if value == "" {
				value = "<nothing>"
			}
			u[section+"."+key] = append(u[section+"."+key], value)
		}
	}
	for key := range u {
		if _, known := unitKeys[key]; !known {
			f.add("%s is not known", key)
		}
	}
	for key, want := range unitKeys {
		if got, ok := u[key]; !ok || want != "" && strings.Join(got, ",") != want {
			f.add("%s is %q, want %q", key, got, want)
		}
	}
	return u, f
}

// checkUnit finds what is wrong with the unit and the files that belong to it: the program takes
// its command line and its environment for every role.
func checkUnit(t *testing.T, text string) faults {
	t.Helper()
	u, f := readUnit(text)
	if len(f) > 0 {
		return f
	}
	config := strings.Replace(f.file("tollstream.example.yaml"), `first_closing: ""`,
		"first_closing: 2026-11-01", 1)
	secret := strings.Fields(strings.Replace(u["Service.LoadCredential"][0], ":", " ", 1))
	folder := t.TempDir()
	writeTestFile(t, filepath.Join(folder, "tollstream.yaml"), config)
	writeTestFile(t, filepath.Join(folder, secret[0]), "from the credential\n")
	ports := map[string]bool{}
	for _, role := range []string{roleIngest, roleUsage, roleSettle} {
		put := strings.NewReplacer("%i", role, "%d", folder, "/etc/tollstream/tollstream.yaml",
			filepath.Join(folder, "tollstream.yaml"))
		var environ []string
		own := f.file("deploy/systemd/" + filepath.Base(put.Replace(u["Service.EnvironmentFile"][0])))
		for line := range strings.Lines(own + strings.Join(u["Service.Environment"], "\n")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				environ = append(environ, put.Replace(line))
			}
		}
		line := strings.Fields(put.Replace(u["Service.ExecStart"][0]))
		command, cfg, err := readProgram(line[1:], environ)
		if err != nil || command.Name() != "run" {
			f.add("%s: %v", role, err)
			continue
		}
		if !slices.Equal(cfg.Roles, []string{role}) || ports[cfg.HTTP.Listen] {
			f.add("%s: has the roles %s and listens at %s", role, cfg.Roles, cfg.HTTP.Listen)
		}
		ports[cfg.HTTP.Listen] = true
		if cfg.ClickHouse.Password != "from the credential" || strings.Contains(own, "PASSWORD") ||
			secret[1] != "/etc/tollstream/secrets/%i" {
			f.add("%s: the password is not the role's credential", role)
		}
		if !strings.Contains(f.file("deploy/clickhouse/users.sql"), fmt.Sprintf(
			"CREATE ROLE IF NOT EXISTS tollstream_%s;", cfg.ClickHouse.User)) {
			f.add("%s: users.sql has no role for the user %s", role, cfg.ClickHouse.User)
		}
	}
	return f
}

// TestSystemd: the unit is confined, goes on for ever, and starts the program as it wants to be
// started; each mistake would be noticed.
func TestSystemd(t *testing.T) {
	var f faults
	text := f.file(unitFile)
	for _, fault := range append(f, checkUnit(t, text)...) {
		t.Error(fault)
	}
	noticed(t, text, []mistake{
		{"ProtectClock=", "ProtectClocks=", "ProtectClocks is not known"},
		{"[Service]\n", "", "Unit.ExecStart is not known"},
		{"Restart=always", "Restart=on-failure", "Service.Restart"},
		{"StartLimitIntervalSec=0", "StartLimitIntervalSec=10", "StartLimitIntervalSec"},
		{"NoNewPrivileges=yes\n", "", "NoNewPrivileges"},
		{"--roles %i", "--role %i", "unknown flag"},
		{"tollstream run", "tollstream start", "unknown flag"},
		{"--roles %i", "--roles all", "all"},
		{"CLICKHOUSE__PASSWORD_FILE", "CLICKHOUSE__PASSWORDFILE", "PASSWORDFILE"},
		{"LoadCredential=clickhouse-password", "LoadCredential=password", "no such file"},
		{"/etc/tollstream/%i.env", "/etc/tollstream/role.env", "no such file"},
	}, func(text string) faults { return checkUnit(t, text) })
}

// TestSystemdAnalyze has systemd itself read the unit, where it is there: it knows every key, and
// the service is exposed by 2 of 10 at most.
func TestSystemdAnalyze(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	program, err := os.Executable() // systemd wants a file that can be run
	if err != nil {
		t.Fatal(err)
	}
	var f faults
	text := strings.Replace(f.file(unitFile), "/usr/local/bin/tollstream", program, 1)
	path := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	writeTestFile(t, path, text)
	out, err := exec.Command(analyze, "verify", path).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=true", "--threshold=20",
		path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	writeTestFile(t, path, strings.Replace(text, "ProtectClock=", "ProtectClocks=", 1))
	if out, _ := exec.Command(analyze, "verify", path).CombinedOutput(); len(out) == 0 {
		t.Error("systemd-analyze verify does not notice an unknown key")
	}
}
