/** Test jobs beside each other: as many as there are lanes, then, one by one, those that want the machine for themselves. */
import { failuresIn, runTestJob, type TestJob, type TestReport, type TestTotals } from './test-job.ts'

export interface TestOutput {
  write(text: string): unknown
}

/** Who looks for what takes long finds it among so many. */
const LONGEST = 12

/** Each report is written whole when its job has ended; at the end what took long, and once more what failed. */
export async function runTestJobs(jobs: readonly TestJob[], lanes: number, output: TestOutput): Promise<TestTotals> {
  const reports: TestReport[] = []
  const began = performance.now()
  let isInterrupted = false
  // The terminal has told the runners as well: they end in their own way, and no further one is begun.
  const interrupt = () => void (isInterrupted = true)
  process.on('SIGINT', interrupt)
  const runFrom = async (queue: TestJob[]) => {
    for (let job = queue.shift(); job !== undefined && !isInterrupted; job = queue.shift()) {
      const report = await runTestJob(job, jobs.length === 1 ? 'at once' : 'at the end')
      if (job.testName !== undefined && report.passed + report.failed === 0) continue
      reports.push(report)
      output.write(`${report.text}${lineOf(report)}\n`)
    }
  }
  try {
    const beside = jobs.filter(({ alone }) => !alone)
    await Promise.all(Array.from({ length: lanes }, () => runFrom(beside)))
    await runFrom(jobs.filter(({ alone }) => alone))
  } finally {
    process.off('SIGINT', interrupt)
  }
  if (jobs.length > 1) output.write(summaryOf(reports, (performance.now() - began) / 1000))
  return {
    passed: reports.reduce((sum, report) => sum + report.passed, 0),
    failed: reports.reduce((sum, report) => sum + report.failed, 0) + (isInterrupted ? 1 : 0),
  }
}

/** So that nobody has to look for it in the middle of an hour's output. */
function summaryOf(reports: readonly TestReport[], seconds: number): string {
  const longest = reports.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST)
  const failed = reports.filter((report) => report.failed > 0)
  return [
    `\n${reports.length} reports in ${seconds.toFixed(0)} s, the longest:\n`,
    ...longest.map((report) => `${lineOf(report)}\n`),
    ...failed.map((report) => `\n${lineOf(report)}\n${failuresIn(report.text)}`),
  ].join('')
}

function lineOf({ failed, name, seconds }: TestReport): string {
  return `${failed === 0 ? '✔' : '✖'} ${name} (${seconds.toFixed(1)} s)`
}
