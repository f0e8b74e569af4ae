"""Options that every module with a bundle of files has."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  files:
    description: What must be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. With O(files[].each) it may hold C({key}) of each item.
        type: str
        required: true
      content:
        description: The file's text.
        type: str
      template:
        description: Template to render as the content, looked for as ansible.builtin.template does.
        type: str
      each:
        description: Renders the template once for each item of this list, as the variable C(item).
        type: list
        elements: dict
      link:
        description: Makes a symbolic link to this instead of a file.
        type: str
      mode:
        description: Octal mode of a file.
        type: str
        default: "0644"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      tag:
        description: Returned in RV(tags) when this file changed.
        type: str
  directories:
    description: Directories that must be there, and what may not be in them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      mode:
        description: Octal mode.
        type: str
        default: "0755"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      purge:
        description:
          - Name patterns; a file that matches and is not in O(files) is removed.
          - The last pattern that matches decides, and one that begins with C(!) keeps the file.
        type: list
        elements: str
        default: []
      tag:
        description: Returned in RV(tags) when the directory or something purged in it changed.
        type: str
attributes:
  check_mode:
    description: Says what would change and changes nothing.
    support: full
  diff_mode:
    description: Shows what is and what is intended.
    support: full
"""
