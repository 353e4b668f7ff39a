/** Gives somebody a role within a project, as who administers it may: what he has himself, to whom he may name. */
import { Select } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { Answered, useAsked } from './answered.tsx'
import { ChangeDialog } from './change-dialog.tsx'

export interface DelegateDialogProps {
  readonly project: string
  /** On this one alone; on the whole project when absent. */
  readonly guest?: string
  readonly onClose: () => void
}

export function DelegateDialog({ project, guest, onClose }: DelegateDialogProps) {
  const t = useText()
  const place = guest === undefined ? {} : { guest }
  const asked = useAsked(['grantable', project, guest], (client) =>
    client.call(ENDPOINTS['delegation.grantable'], { params: { project }, query: place }),
  )
  const [who, setWho] = useState<string | null>(null)
  const [role, setRole] = useState<string | null>(null)
  const subjects = asked.data?.ok ? asked.data.value.subjects : []
  const subject = subjects.find(({ kind, name }) => `${kind} ${name}` === who)
  return (
    <ChangeDialog
      title={t('delegation.ask', { name: guest ?? project })}
      confirm={t('delegation.give')}
      complaint={subject && role !== null ? undefined : ''}
      call={(client) => {
        const named = { kind: subject?.kind ?? 'user', name: subject?.name ?? '' } as const
        const body = { subject: named, role: role ?? '', ...place }
        return client.call(ENDPOINTS['delegation.grant'], { params: { project }, body })
      }}
      onClose={onClose}
    >
      <Answered asked={asked}>
        {({ roles }) => (
          <>
            <Select
              label={t('delegation.who')}
              description={subjects.length === 0 ? t('delegation.nobody') : undefined}
              data={subjects.map(({ kind, name, fullName }) => ({
                value: `${kind} ${name}`,
                label: `${name} (${fullName || t(`delegation.kind.${kind}`)})`,
              }))}
              value={who}
              onChange={setWho}
              searchable
            />
            <Select
              label={t('delegation.role')}
              description={t('delegation.roles')}
              data={roles.map(({ name }) => name)}
              value={role}
              onChange={setRole}
            />
          </>
        )}
      </Answered>
    </ChangeDialog>
  )
}
