/** Asks something now and says what came of it, as often as one likes; no setting is changed. */
import { Button, Group, Stack, Text as Words } from '@mantine/core'
import { useState, type FormEvent, type ReactNode } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { Dialog } from './dialog.tsx'
import { FailureAlert } from './failure-alert.tsx'
import { useSession } from '../session/session-context.ts'

export interface TrialDialogProps<Answer> {
  readonly title: string
  /** On the button. */
  readonly confirm: string
  /** Why it cannot be asked yet; empty: something is missing, and it is seen what. */
  readonly complaint?: string | undefined
  readonly ask: (client: Client) => Promise<Result<Answer>>
  readonly told: (answer: Answer) => ReactNode
  /** What is known already, and the fields. */
  readonly children: ReactNode
  readonly onClose: () => void
}

export function TrialDialog<Answer>(props: TrialDialogProps<Answer>) {
  const { title, confirm, complaint, ask, told, children, onClose } = props
  const t = useText()
  const { client } = useSession()
  const [isBusy, setBusy] = useState(false)
  const [answer, setAnswer] = useState<Result<Answer>>()
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (complaint !== undefined || isBusy) return
    setBusy(true)
    setAnswer(undefined)
    setAnswer(await ask(client))
    setBusy(false)
  }
  return (
    <Dialog title={title} size="lg" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          {children}
          {complaint ? (
            <Words size="sm" c="var(--mantine-color-error)" role="status">
              {complaint}
            </Words>
          ) : null}
          <div role="status">{answer?.ok ? told(answer.value) : null}</div>
          {answer && !answer.ok ? <FailureAlert failure={answer.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('word.close')}
            </Button>
            <Button type="submit" loading={isBusy} disabled={complaint !== undefined}>
              {confirm}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}
