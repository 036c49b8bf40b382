// Command chserver is the ClickHouse child process of this package's tests. It owns nothing but the
// call; the product's binary makes the same call behind its hidden verb.
package main

import (
	"context"
	"os"

	"tollstream/deploy/embedded"
)

func main() {
	if err := embedded.ServeChild(context.Background()); err != nil {
		os.Exit(1)
	}
}
