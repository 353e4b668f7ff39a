/** Reads what Prometheus would read, and fails where it, or the rules of its names, would refuse it. */
import assert from 'node:assert/strict'

export interface ReadFamily {
  readonly type: string
  /** By its labels as they were written: `host="h1",pool="fast"`; none: the empty text. */
  readonly samples: ReadonlyMap<string, number>
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"'
const HELP = new RegExp(`^# HELP (${NAME}) (\\S.*)$`)
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`)
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (\\S+)$`)
/** https://prometheus.io/docs/practices/naming/: base units, the same in all names. */
const WRONG_UNIT = /_(ms|milliseconds|percent|kilobytes|mib|gib|minutes|hours|msec)(_total)?$/

export function readExposition(text: string): ReadonlyMap<string, ReadFamily> {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line does not end')
  const families = new Map<string, { type: string; samples: Map<string, number> }>()
  let helped: string | undefined
  let current: string | undefined
  for (const line of text.split('\n').slice(0, -1)) {
    const [help, type, sample] = [HELP.exec(line), TYPE.exec(line), SAMPLE.exec(line)]
    if (help) {
      helped = help[1]
    } else if (type) {
      const [, name = '', kind = ''] = type
      assert.equal(name, helped, `the help before ${name} is of another family`)
      assert.ok(!families.has(name), `${name} stands in two places`)
      assert.equal(name.endsWith('_total'), kind === 'counter', `${name} is a ${kind}`)
      assert.doesNotMatch(name, WRONG_UNIT)
      families.set((current = name), { type: kind, samples: new Map() })
    } else {
      assert.ok(sample, `no line of the format: ${line}`)
      const [, name = '', labels = '', value = ''] = sample
      assert.equal(name, current, `${name} stands among ${current}`)
      assert.ok(Number.isFinite(Number(value)) || /^(NaN|[+-]Inf)$/.test(value), `${name} has the value ${value}`)
      const { samples } = families.get(name)!
      assert.ok(!samples.has(labels), `${name}{${labels}} stands twice`)
      samples.set(labels, Number(value))
    }
  }
  for (const [name, { samples }] of families) assert.ok(samples.size > 0, `${name} has no value`)
  return families
}
