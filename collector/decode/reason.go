package decode

import "github.com/caprock-net/caprock/netflow/template"

// Reason says why something of a datagram could not be used.
type Reason uint8

// The reasons. Each is counted once for each case; TooManyRecords counts records. The ones of sets and templates are
// explained at template.Problem.
const (
	ShortHeader    Reason = iota // the datagram is shorter than its header; all of it is skipped
	UnknownVersion               // the first two bytes are no known version; all of it is skipped
	BadCount                     // v1, v5, v7: the header's count is zero or not what the datagram holds; the lesser number counts

	firstProblem
)

// The reasons that come from the sets of v9 and IPFIX.
const (
	BadSetLength     = firstProblem + Reason(template.BadSetLength)
	BadMessageLength = firstProblem + Reason(template.BadMessageLength)
	BadTemplate      = firstProblem + Reason(template.BadTemplate)
	TemplateZero     = firstProblem + Reason(template.TemplateZero)
	TemplateTooWide  = firstProblem + Reason(template.TemplateTooWide)
	TemplateReserved = firstProblem + Reason(template.TemplateReserved)
	ReservedSet      = firstProblem + Reason(template.ReservedSet)
	ShortDataSet     = firstProblem + Reason(template.ShortDataSet)
	BadRecord        = firstProblem + Reason(template.BadRecord)
	TooManyRecords   = firstProblem + Reason(template.TooManyRecords)

	NumReasons = int(firstProblem) + template.NumProblems
)

// String returns the reason's name as it stands in logs, ledgers and metrics.
func (r Reason) String() string {
	switch {
	case r == ShortHeader:
		return "short_header"
	case r == UnknownVersion:
		return "unknown_version"
	case r == BadCount:
		return "bad_count"
	default:
		return template.Problem(r - firstProblem).String()
	}
}
