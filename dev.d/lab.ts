/** `./dev lab`: a running lab, and the tour through what it can do. */
import { join } from 'node:path'
import { ROOT, outputOf, runProgram } from './run-program.ts'

export async function runLab(options: { readonly tour: boolean; readonly withContainer: boolean }): Promise<number> {
  const stead = join(ROOT, 'bin', 'stead')
  if (outputOf(stead, ['lab', 'status', '--json']) === undefined) {
    const code = await runProgram(stead, ['lab', 'up'])
    if (code !== 0) return code
  } else {
    process.stdout.write('A lab is up already.\n')
  }
  if (!options.tour) return 0
  const more = options.withContainer ? ['--with-container'] : []
  return runProgram(process.execPath, [join(ROOT, 'packages', 'lab', 'src', 'tour-main.ts'), ...more])
}
