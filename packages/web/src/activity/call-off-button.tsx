/** Calls off what an operation does, where the cluster can. */
import { Button } from '@mantine/core'
import type { OperationView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { showFailure } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import { callOffOf } from './call-off.ts'

export function CallOffButton({ operation }: { operation: OperationView }) {
  const t = useText()
  const { client } = useSession()
  const callOff = callOffOf(operation)
  if (!callOff) return null
  const press = async () => {
    const done = await callOff(client)
    if (!done.ok) showFailure(done.error)
  }
  const what = `${operation.kind} ${operation.subjectName}`
  return (
    <Button size="compact-xs" variant="default" aria-label={t('calledOff.one', { what })} onClick={() => void press()}>
      {t('calledOff')}
    </Button>
  )
}
