package report

import _ "embed" // of the schema

//go:embed schema.json
var schema string

// Schema is the JSON schema of what Encode writes.
func Schema() string { return schema }
