package main

import (
	"testing"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// BenchmarkRateAlone is the kernel's closing of accounts with calls of three tags.
func BenchmarkRateAlone(b *testing.B) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		b.Fatal(err)
	}
	const n = 5000
	b.ReportAllocs()
	var cpu, amounts float64
	for b.Loop() {
		r, err := rateAlone(cat, n)
		if err != nil {
			b.Fatal(err)
		}
		cpu, amounts = cpu+r.CPU, amounts+r.Amounts
	}
	b.ReportMetric(cpu/float64(b.N)/n*1e6, "us/account")
	b.ReportMetric(amounts/float64(b.N)/n*1e6, "us-rating/account")
}
