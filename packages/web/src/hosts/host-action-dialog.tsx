/** Empties a host, or gives it back to the guests, after showing what that does. */
import { Button, Group, Modal, Stack } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import type { HostView } from '@stead/api/views.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { ForesightSummary } from '../parts/foresight-summary.tsx'
import { useSession } from '../session/session-context.ts'

export type HostAction = 'drain' | 'undrain'

function perform(client: Client, action: HostAction, host: string) {
  const params = { host }
  return action === 'drain'
    ? client.call(ENDPOINTS['host.drain'], { params, body: {} })
    : client.call(ENDPOINTS['host.undrain'], { params })
}

export function HostActionDialog(props: { host: HostView; action: HostAction; onClose: () => void }) {
  const { host, action, onClose } = props
  const t = useText()
  const { foreseeing, foreseen } = useSession()
  const [failure, setFailure] = useState<Failure>()
  const query = useQuery({
    queryKey: ['host-foresight', action, host.name],
    staleTime: 0,
    gcTime: 0,
    queryFn: async () => {
      const answer = await perform(foreseeing, action, host.name)
      if (answer.ok) return {}
      return answer.error.code === 'foreseen' ? { view: answer.error.cause as ForeseenView } : { failure: answer.error }
    },
  })
  const view = query.data?.view
  const confirm = async () => {
    if (!view) return
    const done = await perform(foreseen(view.token), action, host.name)
    if (done.ok) onClose()
    else setFailure(done.error)
  }
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t(`host.ask.${action}`, { name: host.name })}
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      <Stack>
        <ForesightSummary views={view && [view]} failure={query.data?.failure} isPending={query.isPending} />
        {failure ? <FailureAlert failure={failure} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('word.cancel')}
          </Button>
          <Button disabled={!view} onClick={() => void confirm()}>
            {t(`host.${action}`)}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
