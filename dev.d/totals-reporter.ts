import type { TestEvent } from 'node:test/reporters'
import type { TestTotals } from './test-job.ts'

/** A reporter for Node's test runner that writes only the totals of the whole run, as JSON. */
export async function* totalsOf(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let files = 0
  for await (const event of events) {
    // A file none of whose tests was run counts as a test itself.
    if (event.type === 'test:pass' && event.data.name === event.data.file) files += 1
    // Summaries of single files name their file; the last one, of the whole run, does not.
    if (event.type !== 'test:summary' || event.data.file !== undefined) continue
    const { passed, failed, cancelled } = event.data.counts as unknown as Record<string, number>
    yield JSON.stringify({
      passed: (passed ?? 0) - files,
      failed: (failed ?? 0) + (cancelled ?? 0),
    } satisfies TestTotals)
  }
}

// Node loads a reporter by its default export.
export { totalsOf as default }
