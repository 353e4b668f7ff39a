/** Groups of users, and whether their members need a second factor. */
import { Checkbox, MultiSelect } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { GroupView } from '@stead/api/endpoints/access.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { useAsked, useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing, nameColumn } from './listing.tsx'

type Asking = { readonly kind: 'create' } | { readonly kind: 'edit' | 'delete'; readonly group: GroupView }

export function Groups() {
  const t = useText()
  const may = useRefusal('/access')('access.manage')
  const asked = useAsked(['groups'], (client) => client.call(ENDPOINTS['group.list']))
  const [asking, setAsking] = useState<Asking>()
  const columns = useMemo(
    (): readonly TableColumn<GroupView>[] => [
      nameColumn(t('word.name'), 'minmax(110px, 1fr)', ({ notes }) => notes),
      {
        id: 'members',
        title: t('groups.members'),
        width: 'minmax(120px, 2fr)',
        value: ({ members }) => members.length,
        cell: ({ members }) => <span title={members.join(', ')}>{members.join(', ') || '–'}</span>,
      },
      {
        id: 'factor',
        title: t('groups.factor'),
        width: 'minmax(90px, .8fr)',
        wideOnly: true,
        value: ({ demandsSecondFactor }) => (demandsSecondFactor ? 0 : 1),
        cell: ({ demandsSecondFactor }) => (demandsSecondFactor ? t('word.yes') : t('word.no')),
      },
    ],
    [t],
  )
  const action = (kind: 'edit' | 'delete') => ({
    text: t(`groups.${kind}`),
    refusal: () => may,
    onClick: (group: GroupView) => setAsking({ kind, group }),
  })
  const close = () => setAsking(undefined)
  return (
    <>
      <Listing
        label={t('admin.tab.groups')}
        icon="user"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, members }) => [name, ...members].join(' ')}
        columns={columns}
        actions={[action('edit'), action('delete')]}
        create={{ text: t('groups.create'), refusal: may, onClick: () => setAsking({ kind: 'create' }) }}
        none={t('groups.none')}
      />
      {asking?.kind === 'create' ? <GroupDialog onClose={close} /> : null}
      {asking?.kind === 'edit' ? <GroupDialog group={asking.group} onClose={close} /> : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('groups.askDelete', { name: asking.group.name })}
          confirm={t('groups.delete')}
          danger={{ text: t('groups.deleteText') }}
          call={(client) => client.call(ENDPOINTS['group.delete'], { params: { group: asking.group.name } })}
          onClose={close}
        />
      ) : null}
    </>
  )
}

function GroupDialog({ group, onClose }: { group?: GroupView; onClose: () => void }) {
  const t = useText()
  const users = useItems(['users'], (client) => client.call(ENDPOINTS['user.list']))
  const [name, setName] = useState(group?.name ?? '')
  const [members, setMembers] = useState<string[]>(group?.members ?? [])
  const [demandsSecondFactor, setDemands] = useState(group?.demandsSecondFactor ?? false)
  const known = users.map((user) => user.name)
  const before = group?.members ?? []
  const created = { name: name.trim(), members, demandsSecondFactor }
  const changed = {
    add: members.filter((member) => !before.includes(member)),
    remove: before.filter((member) => !members.includes(member)),
    demandsSecondFactor,
  }
  const complaint = group ? undefined : name === '' ? '' : complaintOf(ENDPOINTS['group.create'].body, created)
  return (
    <ChangeDialog
      title={group ? t('groups.askEdit', { name: group.name }) : t('groups.create')}
      confirm={group ? t('word.save') : t('groups.create')}
      complaint={complaint}
      call={(client) =>
        group
          ? client.call(
              ENDPOINTS['group.set'],
              { params: { group: group.name }, body: changed },
              { ifMatch: group.revision },
            )
          : client.call(ENDPOINTS['group.create'], { body: created })
      }
      onClose={onClose}
    >
      {group ? null : <NameField value={name} onChange={setName} />}
      <MultiSelect
        label={t('groups.members')}
        data={[...new Set([...known, ...members])]}
        value={members}
        onChange={setMembers}
        searchable
      />
      <Checkbox
        label={t('groups.demand')}
        description={t('groups.demandText')}
        checked={demandsSecondFactor}
        onChange={(event) => setDemands(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}
