package flowtext

import "strconv"

func appendUint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }

// AppendCount appends a count for people: whole below 100,000, else with three digits and a decimal prefix, 1.23M.
func AppendCount(dst []byte, v float64) []byte {
	if v < 100_000 {
		return strconv.AppendFloat(dst, v, 'f', 0, 64)
	}
	dst, prefix := appendScaled(dst, v)
	return append(dst, prefix...)
}

// AppendBytes appends a size for people, decimal as links are sold: 999 B, 1.23 kB, 45.6 MB, 789 GB.
func AppendBytes(dst []byte, v float64) []byte { return appendUnit(dst, v, "B") }

// AppendBits appends a rate in bits a second for people: 950 bit/s, 1.23 Mbit/s.
func AppendBits(dst []byte, v float64) []byte { return appendUnit(dst, v, "bit/s") }

func appendUnit(dst []byte, v float64, unit string) []byte {
	dst, prefix := appendScaled(dst, v)
	dst = append(dst, ' ')
	dst = append(dst, prefix...)
	return append(dst, unit...)
}

// appendScaled appends v with three digits and returns the decimal prefix they are to be read with; whole below 1000.
func appendScaled(dst []byte, v float64) (number []byte, prefix string) {
	const prefixes = "kMGTPEZY"
	i := 0
	for v >= 999.5 && i < len(prefixes) {
		v /= 1000
		i++
	}
	if i == 0 {
		return strconv.AppendFloat(dst, v, 'f', 0, 64), ""
	}
	decimals := 2
	if v >= 99.95 {
		decimals = 0
	} else if v >= 9.995 {
		decimals = 1
	}
	return strconv.AppendFloat(dst, v, 'f', decimals, 64), prefixes[i-1 : i]
}

// AppendPercent appends a share with one decimal and a percent sign; of nothing it is a dash.
func AppendPercent(dst []byte, part, whole float64) []byte {
	if whole == 0 {
		return append(dst, '-')
	}
	return append(strconv.AppendFloat(dst, 100*part/whole, 'f', 1, 64), '%')
}
