/** Asks something now and says what came of it, as often as one likes; nothing is changed. */
import { Button, Group, Stack } from '@mantine/core'
import { useState, type FormEvent, type ReactNode } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { Dialog } from '../parts/dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { useSession } from '../session/session-context.ts'

export interface TrialDialogProps<Answer> {
  readonly title: string
  /** On the button. */
  readonly confirm: string
  readonly ask: (client: Client) => Promise<Result<Answer>>
  readonly told: (answer: Answer) => ReactNode
  /** What is known already, and the fields. */
  readonly children: ReactNode
  readonly onClose: () => void
}

export function TrialDialog<Answer>({ title, confirm, ask, told, children, onClose }: TrialDialogProps<Answer>) {
  const t = useText()
  const { client } = useSession()
  const [isBusy, setBusy] = useState(false)
  const [answer, setAnswer] = useState<Result<Answer>>()
  const submit = async (event: FormEvent) => {
    event.preventDefault()
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
          <div role="status">{answer?.ok ? told(answer.value) : null}</div>
          {answer && !answer.ok ? <FailureAlert failure={answer.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('word.close')}
            </Button>
            <Button type="submit" loading={isBusy}>
              {confirm}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}
