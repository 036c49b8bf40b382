// Package helm checks the chart of tollstream by Helm's own loader, engine and linter in this
// process, without a cluster: every object of every file in tollstream/ci is read into the types
// of Kubernetes and held against what it is for. With -rendered the objects are left in a folder,
// where cmd/tollstream compares them with the program (`make chart-test`). It is a module of its
// own, so that the program does not depend on Helm.
package helm
