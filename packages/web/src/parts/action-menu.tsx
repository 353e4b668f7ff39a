/** What is done more rarely, behind one button; what would be refused stays there and says why. */
import { Button, Menu } from '@mantine/core'
import { Icon } from './icon.tsx'

export interface MenuAction {
  readonly text: string
  readonly refusal?: string | undefined
  readonly onClick: () => void
}

export function ActionMenu({ label, actions }: { label: string; actions: readonly MenuAction[] }) {
  return (
    <Menu position="bottom-end" width={300}>
      <Menu.Target>
        <Button size="xs" variant="default" rightSection={<Icon name="down" size={14} />}>
          {label}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {actions.map(({ text, refusal, onClick }) => (
          <Menu.Item
            key={text}
            // Not `disabled`: the reason must be reached by the keyboard as well.
            aria-disabled={refusal !== undefined}
            data-disabled={refusal !== undefined || undefined}
            onClick={() => (refusal === undefined ? onClick() : undefined)}
          >
            {text}
            {refusal === undefined ? null : <small> – {refusal}</small>}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
