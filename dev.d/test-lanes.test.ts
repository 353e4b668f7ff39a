import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ROOT } from './run-program.ts'
import { runTestJobs } from './test-lanes.ts'
import { ALONE, LONG, chooseJobs, testFiles } from './tests.ts'

/** Test files of these contents, as jobs; and what is written while they run. */
function jobsOf(
  context: TestContext,
  contents: Readonly<Record<string, string>>,
  { alone = [], testName }: { readonly alone?: readonly string[]; readonly testName?: string } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-lanes-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const jobs = Object.entries(contents).map(([name, content]) => {
    const file = join(folder, `${name}.test.mjs`)
    writeFileSync(file, `${IMPORTS}\nconst folder = ${JSON.stringify(folder)}\n${content}\n`)
    return {
      name,
      files: [file],
      flags: [],
      alone: alone.includes(name),
      ...(testName === undefined ? {} : { testName }),
    }
  })
  const written: string[] = []
  const run = (lanes: number) => runTestJobs(jobs, lanes, { write: (text) => written.push(text) })
  return { folder, run, written }
}

const IMPORTS = `
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
async function meets(file) {
  for (let tries = 0; !existsSync(file); tries++) {
    assert.ok(tries < 600, 'nothing ran beside it')
    await sleep(50)
  }
}`

/** Passes only beside another one of its kind. */
const meeting = (own: string, other: string) => `
test('meets ${other}', async () => {
  console.log('${own} begins')
  writeFileSync(folder + '/${own}', '')
  await meets(folder + '/${other}')
  console.log('${own} ends')
})`

/** Passes only when nothing else runs: who begins leaves a mark that he takes away at his end. */
const exclusive = `
import { rmSync } from 'node:fs'
test('has the place for itself', async () => {
  writeFileSync(folder + '/taken', '', { flag: 'wx' })
  await sleep(300)
  rmSync(folder + '/taken')
})`

test('two lanes run two files beside each other, and their reports are not mixed', async (context) => {
  const { run, written } = jobsOf(context, { one: meeting('one', 'two'), two: meeting('two', 'one') })
  assert.deepEqual(await run(2), { passed: 2, failed: 0 })
  for (const name of ['one', 'two']) {
    const report = written.find((text) => text.includes(`${name} begins`)) ?? ''
    assert.match(report, new RegExp(`${name} begins[^]*${name} ends[^]*✔ ${name} \\(\\d+\\.\\d s\\)\\n$`))
    assert.equal(report.includes(name === 'one' ? 'two begins' : 'one begins'), false)
  }
  assert.match(written[2] ?? '', /^\n2 reports in \d+ s, the longest:\n✔ \w+ \(\d+\.\d s\)\n✔ \w+ \(\d+\.\d s\)\n$/)
  assert.equal(written.length, 3)
})

test('one lane runs one file at a time', async (context) => {
  const { run } = jobsOf(context, { one: exclusive, two: exclusive, three: exclusive })
  assert.deepEqual(await run(1), { passed: 3, failed: 0 })
})

test('what wants to be alone begins when all others have ended, also before others of its kind', async (context) => {
  const contents = { alone: exclusive, lonely: exclusive, beside: exclusive }
  const { run, written } = jobsOf(context, contents, { alone: ['alone', 'lonely'] })
  assert.deepEqual(await run(3), { passed: 3, failed: 0 })
  assert.deepEqual(
    written.slice(0, 3).map((text) => /✔ (\w+) \(\d+\.\d s\)\n$/.exec(text)?.[1]),
    ['beside', 'alone', 'lonely'],
  )
})

test('of tests of a name only the files that have them are told', async (context) => {
  const contents = {
    one: `test('adds', () => undefined)\ntest('breathes', () => undefined)`,
    two: `test('walks', () => undefined)`,
  }
  const { run, written } = jobsOf(context, contents, { testName: 'adds' })
  assert.deepEqual(await run(2), { passed: 1, failed: 0 })
  assert.equal(written.length, 2)
  assert.match(written[0] ?? '', /✔ adds[^]*✔ one/)
  assert.doesNotMatch(written.join(''), /breathes|walks|two/)
})

test('what failed is told once more at the end, without what passed; a crash has failed too', async (context) => {
  const { run, written } = jobsOf(context, {
    broken: `test('adds', () => assert.equal(1 + 1, 3, 'the sum is wrong'))\ntest('breathes', () => undefined)`,
    crash: `test('never ends', () => sleep(60_000))\nsetTimeout(() => process.exit(7), 100)`,
    fine: `test('is fine', () => undefined)`,
  })
  const { passed, failed } = await run(2)
  assert.equal(passed, 2)
  assert.equal(failed >= 2, true, `${failed} failed`)
  const [summary = ''] = written.slice(3)
  const [times = '', ...told] = summary.split(/\n\n(?=✖)/)
  assert.match(times, /^\n3 reports in \d+ s, the longest:\n(?:[✔✖] \w+ \(\d+\.\d s\)\n?){3}$/)
  assert.equal(told.length, 2)
  const [broken = '', crash = ''] = told.toSorted((a, b) => Number(a.includes('crash')) - Number(b.includes('crash')))
  assert.match(broken, /^✖ broken \(\d+\.\d s\)\n✖ failing tests:\n[^]*the sum is wrong/)
  assert.equal(broken.includes('breathes'), false)
  assert.match(crash, /^✖ crash /)
})

test('the lists of files to begin first, and of those to be alone, name files that there are', () => {
  for (const file of [...LONG, ...ALONE]) assert.ok(existsSync(join(ROOT, file)), file)
})

test('all kinds together, one kind, a part of a path, a part of the name of a test', () => {
  const [unit, first, ...others] = chooseJobs('all', undefined)
  assert.equal(unit?.name, 'unit')
  assert.deepEqual(unit.files, testFiles('unit'))
  assert.equal(first?.name, LONG[0])
  assert.equal(others.length, testFiles('system').length - 1)
  assert.deepEqual(
    chooseJobs('system', undefined).flatMap(({ files }) => files),
    testFiles('system'),
  )
  assert.deepEqual(
    chooseJobs('all', 'test-lanes').map(({ name, files }) => [name, files]),
    [['unit', ['dev.d/test-lanes.test.ts']]],
  )
  const byName = chooseJobs('unit', 'the name of no file')
  assert.equal(byName[0]?.testName, 'the name of no file')
  assert.deepEqual(byName[0]?.files, testFiles('unit'))
})
