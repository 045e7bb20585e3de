package template

// Problem is a way in which a message violates its format. Decoding goes on after it where that is safe.
type Problem uint8

// The problems. The comment says what becomes of the bytes concerned.
const (
	BadSetLength     Problem = iota // a set's length is below 4 or beyond the datagram: the rest of the datagram is skipped
	BadMessageLength                // IPFIX: the header's length is not the datagram's. Shorter: the rest is skipped. Longer: all is
	BadTemplate                     // a template is truncated or contradicts itself: the rest of its set is skipped
	TemplateZero                    // a template's records would have no bytes: refused
	TemplateTooWide                 // a template has more than MaxFields fields or records above 65535 bytes: refused
	TemplateReserved                // a template has an id below 256: refused
	ReservedSet                     // a set has a reserved id: skipped
	ShortDataSet                    // a data set is too short for a single record: skipped
	BadRecord                       // a variable-length record runs past the end of its set: the rest of the set is skipped
	TooManyRecords                  // a datagram has more records than an empty batch has room for: that many are skipped

	NumProblems = int(TooManyRecords) + 1
)

var problemNames = [NumProblems]string{
	BadSetLength:     "bad_set_length",
	BadMessageLength: "bad_message_length",
	BadTemplate:      "bad_template",
	TemplateZero:     "template_of_zero_length",
	TemplateTooWide:  "template_too_wide",
	TemplateReserved: "template_id_reserved",
	ReservedSet:      "reserved_set",
	ShortDataSet:     "short_data_set",
	BadRecord:        "bad_record",
	TooManyRecords:   "too_many_records",
}

// String returns the problem's name as it stands in logs and metrics.
func (p Problem) String() string {
	if int(p) >= NumProblems {
		return "unknown"
	}
	return problemNames[p]
}

// Report says what decoding a message met. Decoders add to it; Reset it between messages to reuse its memory.
type Report struct {
	Flows   int // rows appended to the batch
	Options int // records of options data
	Undated int // flows whose times are not told because the exporter's boot time is not known (yet)

	New         int // templates that were not there before
	Refreshed   int // templates announced again with the same layout
	Changed     int // templates whose layout was replaced
	Withdrawals int // template withdrawals, ignored over UDP (RFC 7011 section 8.4)

	Missing  []uint16 // ids of the data sets that were skipped because their template is not known
	Problems [NumProblems]uint32
}

// Reset empties the report.
func (r *Report) Reset() { *r = Report{Missing: r.Missing[:0]} }

// Note counts a problem.
func (r *Report) Note(p Problem) { r.Problems[p]++ }

// Complete reports whether every data record of the message was recognised, so that Flows+Options is the number of
// data records that the exporter counts in its sequence number.
func (r *Report) Complete() bool {
	p := &r.Problems
	return len(r.Missing) == 0 && p[BadSetLength]|p[BadMessageLength]|p[BadRecord]|p[TooManyRecords]|p[ShortDataSet] == 0
}
