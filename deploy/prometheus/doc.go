// Package prometheus holds the alerts of tollstream and, as tests, what evaluates them: Prometheus'
// own PromQL engine in this process, over series that rules_test.yml writes down in promtool's
// format, and over scrapes of a pipeline whose servers were taken away. It is a module of its own,
// so that the program does not depend on Prometheus.
package prometheus
