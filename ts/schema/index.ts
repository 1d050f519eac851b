export { Schema } from './schema.ts'
export { SchemaViolationError, type Violation } from './violations.ts'
